#!/usr/bin/env bash
# ASiT on three hours of real telephone speech from eight Debian packages (119 MB): pretrain without labels, then name
# speakers, with and without that pretraining. Two CPU cores suffice.
#
#   ./run.sh                        # one seed, under an hour on two cores; packages come by apt-get download
#   ./run.sh --corpus my_packages   # the .deb files are in this folder
#   ./run.sh --seeds 3 --nj 3       # the table of RESULTS.md
#   ./run.sh --ngpu 1               # pretraining and fine-tuning on a GPU
#   ./run.sh --quick true           # every stage in a few minutes, in exp_quick/; its figures mean nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
corpus=""                           # folder of the .deb files; empty: downloads/debs, absent ones are fetched there
quick=false                         # a short run of every stage, for tests
nj=2                                # parallel jobs: features, runs at a time
ngpu=0                              # GPUs of each training; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # small-corpus ASiT
runs=conf/runs.yaml                 # training, validation and test set of every run
parse_options "$@"

clips=downloads/clips exp=exp data=data fbank=fbank
if $quick; then
    exp=exp_quick data=exp_quick/data fbank=exp_quick/fbank
    pretrain_args="--steps 30 --warmup 5 $pretrain_args"
    finetune_args="--steps 20 --warmup 4 --eval-every 20 --epoch-samples 320 $finetune_args"
fi
open_experiment
sets=() && list_runs sets --runs "$runs" --list all
tables=(local/manifest.tsv local/packages.tsv)

if begin 0 download "Packages, verified and unpacked" "${tables[@]}" -- "$clips"; then
    [[ -z $corpus ]] && fetch=true || fetch=false
    local/unpack.py --debs "${corpus:-downloads/debs}" --fetch "$fetch" --out "$clips"
fi

if begin 1 data "Data directories from the clips" local/splits.py "${tables[@]}" -- "$data/all/wav.scp"; then
    local/prepare.py --clips "$clips" --data "$data"
    for set in all "${sets[@]}"; do asit-validate-data-dir --data-dir "$data/$set"; done
fi

if begin 2 features "Log-mel features" "$fbank_config" -- "$data/all/feats.scp"; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" \
        "$data/all" "$data/all/log" "$fbank"
    asit-select-feats --from-dir "$data/all" --data-dirs "${sets[@]/#/$data/}"
fi

if begin 3 stats "Mean and standard deviation of the pool" "$data/pool/feats.scp" -- "$data/pool/stats.yaml"; then
    asit-compute-stats --data-dir "$data/pool"
fi

records_in "$exp/.done" # of this experiment
if begin 4 pretrain "Pretrain without labels" "$runs" "${init:-$pretrain_config}" "$data/pool/feats.scp" "$data/pool/stats.yaml"; then
    pretrain
fi

if begin 5 finetune "Fine-tune, pretrained and from scratch" "$runs" conf/finetune_speaker.yaml; then
    finetune
fi

if begin 6 score "Score on the test sets; trivial baseline"; then
    score
fi

if begin 7 report "The table" -- "$results"; then
    report "asterisk: results"
fi
finish

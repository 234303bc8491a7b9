#!/usr/bin/env bash
# The main job, end to end on real speech that ships with the repository: pretrain ASiT on telephone prompts, then
# identify speakers with and without that pretraining. Two CPU cores and no network suffice.
#
#   ./run.sh                      # one seed, about 15 minutes on two cores
#   ./run.sh --seeds 3            # the table of RESULTS.md
#   ./run.sh --quick true         # every stage in about 2 minutes; its figures mean nothing
#   ./run.sh --stage finetune     # from a stage on, by name or number
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
quick=false                         # a short run of every stage, for tests
nj=2                                # parallel jobs: features, fine-tuning, scoring
ngpu=0                              # GPUs for pretraining; 0: CPU
corpus=corpus                       # the embedded corpus
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # small-corpus ASiT; the published settings stand beside it
runs=conf/runs.yaml                 # training, validation and test set of every run
parse_options "$@"

exp=exp data=data fbank=fbank
if $quick; then
    exp=exp_quick data=exp_quick/data fbank=exp_quick/fbank
    pretrain_args="--steps 30 --warmup 5 $pretrain_args"
    finetune_args="--steps 20 --warmup 4 --eval-every 10 --epoch-samples 320 $finetune_args"
fi
open_experiment
sets=() && list_runs sets --runs "$runs" --list all

if begin 0 data "Data directories from the corpus" "$corpus/manifest.tsv" "$corpus/splits" -- "$data/all/wav.scp"; then
    local/prepare.py --corpus "$corpus" --data "$data"
    for set in all "${sets[@]}"; do asit-validate-data-dir --data-dir "$data/$set"; done
fi

if begin 1 features "Log-mel features" "$fbank_config" -- "$data/all/feats.scp"; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" \
        "$data/all" "$data/all/log" "$fbank"
    asit-select-feats --from-dir "$data/all" --data-dirs "${sets[@]/#/$data/}"
fi

if begin 2 stats "Mean and standard deviation of the pool" "$data/pool/feats.scp" -- "$data/pool/stats.yaml"; then
    asit-compute-stats --data-dir "$data/pool"
fi

records_in "$exp/.done" # of this experiment
if begin 3 pretrain "Pretrain without labels" "$runs" "${init:-$pretrain_config}" "$data/pool/feats.scp" "$data/pool/stats.yaml"; then
    pretrain
fi

if begin 4 finetune "Fine-tune, pretrained and from scratch" "$runs" conf/finetune_speaker.yaml; then
    finetune
fi

if begin 5 score "Score on the test sets; trivial baseline"; then
    score
fi

if begin 6 report "The table" -- "$results"; then
    report "mini: results"
fi
finish

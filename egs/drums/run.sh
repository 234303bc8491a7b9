#!/usr/bin/env bash
# Drum sounds from free drum kits, in packages of Debian: pretrain ASiT without labels, then tell 14 classes of single
# hits and tag mixtures of one to four of them, or say when each is heard, by kits never heard, with and without that
# pretraining.
#
#   ./run.sh                                # one seed
#   ./run.sh --seeds 3                      # the tables of RESULTS.md
#   ./run.sh --runs conf/runs_detection.yaml --results RESULTS_detection.md    # when each drum is heard in the mixtures
#   ./run.sh --corpus /path/to/packages     # a folder with the .deb files of local/packages.tsv
#   ./run.sh --quick true                   # every stage in about 2 minutes; its figures mean nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
quick=false                         # a short run of every stage, for tests
nj=2                                # parallel jobs
ngpu=0                              # GPUs of each pretraining and fine-tuning job; 0: CPU
corpus=downloads/debs               # folder of the .deb files; those that it lacks are fetched there
tables=local                        # folder of packages.tsv, kits.tsv and recordings.tsv
mixtures="1000 200 400"             # mixtures for training, validation, test
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # small-corpus ASiT
runs=conf/runs.yaml                 # training, validation and test set of every run
exp=exp                             # folder of models, logs and scores
data=data                           # folder of the data directories and the audio
fbank=fbank                         # folder of the features
parse_options "$@"

if $quick; then
    [[ $exp != exp ]] || exp=exp_quick data=exp_quick/data fbank=exp_quick/fbank
    mixtures="60 20 30"
    pretrain_args="--steps 30 --warmup 5 $pretrain_args"
    finetune_args="--steps 20 --warmup 4 --eval-every 10 $finetune_args"
fi
open_experiment
sets=() && list_runs sets --runs "$runs" --list all

if begin 0 download "Packages of the kits" "$tables/packages.tsv"; then
    local/fetch.py --corpus "$corpus" --tables "$tables"
fi

code=(local/prepare.py local/drum_recordings.py local/drum_mixtures.py)
if begin 1 data "Recordings, mixtures and data directories" \
    "${code[@]}" "$tables/kits.tsv" "$tables/recordings.tsv" -- "$data/all/wav.scp"; then
    read -r train valid test <<<"$mixtures"
    local/prepare.py --corpus "$corpus" --tables "$tables" --data "$data" --audio "$data/audio" \
        --train-mixtures "$train" --valid-mixtures "$valid" --test-mixtures "$test"
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
if begin 4 pretrain "Pretrain without labels" "$runs" "${init:-$pretrain_config}" "$data/pool/stats.yaml"; then
    pretrain
fi

if begin 5 finetune "Fine-tune, pretrained and from scratch" \
    "$runs" conf/finetune_events.yaml conf/finetune_tagging.yaml conf/finetune_detection.yaml; then
    finetune
fi

if begin 6 score "Score on the test sets; trivial baseline"; then
    score
fi

if begin 7 report "The table" local/more_metrics.py -- "$results"; then
    local/more_metrics.py --plan "$exp/plan" --out "$exp/more_metrics.md"
    report "drums: results" --note "$exp/more_metrics.md"
fi
finish

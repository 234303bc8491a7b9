#!/usr/bin/env bash
# Pretrain ASiT on the recordings of a corpus, then fine-tune on its labels with and without that pretraining. The
# corpus is a folder of class folders, a folder <set>/<label>/<recording>, or a CSV file; README.md says more.
#
#   ./run.sh --corpus downloads/my_corpus     # everything
#   ./run.sh --stage finetune --ngpu 1        # from a stage on, by name or number
#   ./run.sh --status                         # which stages are finished
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
corpus=corpus                       # the recordings as they come: a folder or a CSV file
columns=""                          # of a CSV file with other names: path=audio/{filename}.wav,label=category
labels=given                        # none: all recordings are for pretraining, and nothing is fine-tuned
pool=pool                           # set to pretrain on; its labels are not used; with folds: pool_fold{fold}
nj=4                                # jobs at a time: features, fine-tuning, scoring
ngpu=0                              # GPUs of each training; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # ASiT for a small corpus
runs=conf/runs.yaml                 # training, validation and test set and configuration of every run
exp=exp                             # folder of models, logs and scores
parse_options "$@"

open_experiment
sets=() && list_runs sets --runs "$runs" --pool "$pool" --list all
labelled=() && list_runs labelled --runs "$runs" --list labelled

if begin 0 data "Data directories from the corpus" local/prepare.py "$corpus" -- data/all/wav.scp; then
    local/prepare.py --corpus "$corpus" --columns "$columns" --labels "$labels" --data data
    for set in "${sets[@]}"; do asit-validate-data-dir --data-dir "data/$set"; done
    for set in "${labelled[@]}"; do cut -d " " -f 2- "data/$set/utt2label" | sort | uniq -c | sed "s|^|data/$set|"; done
fi

if begin 1 features "Log-mel features" "$fbank_config" -- data/all/feats.scp; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" \
        --resample true data/all data/all/log fbank
    asit-select-feats --from-dir data/all --data-dirs "${sets[@]/#/data/}"
fi

if begin 2 stats "Mean and standard deviation of each pool" "$runs"; then
    pools=() && list_runs pools --runs "$runs" --pool "$pool" --list pool
    for set in "${pools[@]}"; do asit-compute-stats --data-dir "data/$set"; done
fi

records_in "$exp/.done" # of this experiment
if begin 3 pretrain "Pretrain without labels" "$runs" "${init:-$pretrain_config}"; then
    nj=1 pretrain
fi

if begin 4 finetune "Fine-tune, pretrained and from scratch" "$runs" conf asit-tiny; then
    finetune
fi

if begin 5 score "Score on the test sets; trivial baseline"; then
    score
fi

if begin 6 report "The table" -- "$results"; then
    [[ $labels != none ]] || show_embeddings
    report "Results"
fi
finish

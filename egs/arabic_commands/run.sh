#!/usr/bin/env bash
# Arabic Speech Commands: 40 spoken words of one second, official parts with other speakers in each. Made by
# tools/new_recipe.sh; local/arabic_commands.py reads the corpus' own three tables.
#
#   ./run.sh --seeds 3                            # everything; a tiny network: hours on two processor cores
#   ./run.sh --corpus /data/arabic-speech-commands-dataset    # a copy that is there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
corpus=""                           # folder with train.csv, val.csv, test.csv and dataset/; empty: it is downloaded
sources="https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset/archive/refs/heads/main.zip" # where the archive is
sha256=unpublished                  # of the archive, when you know one
check_counts=true                   # fail unless there are as many clips as are published
pool=pool                           # set to pretrain on; its labels are not used
nj=4                                # jobs at a time: features, fine-tuning, scoring
ngpu=0                              # GPUs of each training; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # ASiT for a small corpus
runs=conf/runs.yaml                 # training, validation and test set and configuration of every run
exp=exp                             # folder of models, logs and scores
parse_options "$@"

open_experiment
copy=${corpus:-downloads/arabic}
sets=() && list_runs sets --runs "$runs" --pool "$pool" --list all
labelled=() && list_runs labelled --runs "$runs" --list labelled

if begin 0 download "The corpus" -- "$copy"; then
    if [[ -z $corpus ]]; then
        read -r -a archive <<<"$sources"
        asit-download --sources "${archive[@]}" --out downloads/arabic.zip --sha256 "$sha256" --extract-to "$copy"
    fi
fi

if begin 1 data "Data directories from the corpus" local/prepare.py local/arabic_commands.py -- data/all/wav.scp; then
    local/prepare.py --corpus "$copy" --check-counts "$check_counts" --data data
    for draw in 0 1 2; do # of 180 clips of each word
        asit-subset-data-dir --data-dir data/train --out-dir "data/train_1pct_$draw" --per-label 2 --seed "$draw"
        asit-subset-data-dir --data-dir data/train --out-dir "data/train_10pct_$draw" --per-label 18 --seed "$draw"
    done
    for set in "${sets[@]}"; do asit-validate-data-dir --data-dir "data/$set"; done
    for set in "${labelled[@]}"; do cut -d " " -f 2- "data/$set/utt2label" | sort | uniq -c | sed "s|^|data/$set|"; done
fi

if begin 2 features "Log-mel features" "$fbank_config" -- data/all/feats.scp; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" data/all data/all/log fbank
    asit-select-feats --from-dir data/all --data-dirs "${sets[@]/#/data/}"
fi

if begin 3 stats "Mean and standard deviation of each pool" "$runs"; then
    pools=() && list_runs pools --runs "$runs" --pool "$pool" --list pool
    for set in "${pools[@]}"; do asit-compute-stats --data-dir "data/$set"; done
fi

records_in "$exp/.done" # of this experiment
if begin 4 pretrain "Pretrain without labels" "$runs" "${init:-$pretrain_config}"; then
    pretrain
fi

if begin 5 finetune "Fine-tune, pretrained and from scratch" "$runs" conf; then
    finetune
fi

if begin 6 score "Score on the test sets; trivial baseline"; then
    score
fi

if begin 7 report "The table" conf/published.yaml -- "$results"; then
    report "Arabic Speech Commands: results" --published conf/published.yaml
fi
finish

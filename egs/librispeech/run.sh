#!/usr/bin/env bash
# LibriSpeech, read English: 100 hours (train-clean-100) with and without transcripts, dev-clean selects the weights,
# test-clean and test-other are scored once. Sentencepiece units by CTC, without and with n-grams.
#
#   ./run.sh --ngpu 4                             # download (7.3 GB), pretrain, fine-tune, score
#   ./run.sh --ngpu 4 --corpus /data/LibriSpeech  # a copy that is there
#   ./run.sh --corpus DIR --check-counts false    # a few speakers in its layout, to try
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
corpus=""                           # folder with the parts, or with LibriSpeech; empty: they are downloaded
mirrors="https://www.openslr.org/resources/12 https://us.openslr.org/resources/12" # tried in order
archives=local/archives.tsv         # utterances and sha256 of the official archives
check_counts=true                   # fail unless there are as many utterances as are published
vocab_size=300                      # sentencepiece units
nj=8                                # jobs at a time: features, scoring
ngpu=0                              # GPUs of each training; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # ASiT for a hundred hours
runs=conf/runs.yaml                 # training, validation and test set and configuration of every run
exp=exp                             # folder of models, logs and scores
parse_options "$@"

open_experiment
sets=() && list_runs sets --runs "$runs" --list all

if begin 0 download "The official archives" "$archives" -- "${corpus:-downloads}"; then
    if [[ -z $corpus ]]; then
        read -r -a hosts <<<"$mirrors"
        while IFS=$'\t' read -r part _ sha256; do
            asit-download --sources "${hosts[@]/%//$part.tar.gz}" --out "downloads/$part.tar.gz" --sha256 "$sha256" \
                --extract-to "downloads/$part.unpacked"
            mkdir -p downloads/LibriSpeech
            ln -sfn "../$part.unpacked/LibriSpeech/$part" "downloads/LibriSpeech/$part"
        done <"$archives"
    fi
fi

if begin 1 data "Data directories" local/prepare.py local/librispeech.py "$archives" -- data/all/wav.scp; then
    local/prepare.py --corpus "${corpus:-downloads}" --archives "$archives" --check-counts "$check_counts" --data data
    for set in train valid test_clean test_other; do
        asit-validate-data-dir --data-dir "data/$set" --require-text true
    done
fi

if begin 2 tokens "Units and n-grams of the training transcripts" -- data/train/tokens/lm.arpa; then
    asit-train-tokens --data-dir data/train --out-dir data/train/tokens --vocab-size "$vocab_size"
    asit-train-lm --data-dir data/train --tokens data/train/tokens --out-file data/train/tokens/lm.arpa --order 4 \
        --measure-dir data/valid
fi

if begin 3 features "Log-mel features" "$fbank_config" -- data/all/feats.scp; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" data/all data/all/log fbank
    asit-select-feats --from-dir data/all --data-dirs "${sets[@]/#/data/}"
fi

if begin 4 stats "Mean and standard deviation of the pool" -- data/pool/stats.yaml; then
    asit-compute-stats --data-dir data/pool
fi

records_in "$exp/.done" # of this experiment
if begin 5 pretrain "Pretrain without transcripts" "$runs" "${init:-$pretrain_config}"; then
    pretrain
fi

if begin 6 finetune "Fine-tune, pretrained and from scratch" "$runs" conf; then
    finetune
fi

if begin 7 score "Decode and score the test sets"; then
    score
fi

if begin 8 report "The table" conf/published.yaml -- "$results"; then
    report "LibriSpeech, 100 hours: results" --also wer --published conf/published.yaml
fi
finish

#!/usr/bin/env bash
# Mboshi, a Bantu language without a written standard: speech recognition from 3.6 hours of transcribed sentences, read and
# elicited from three speakers. Characters and sentencepiece units by CTC; all transcripts and a tenth of them.
#
#   ./run.sh                                      # everything, one seed: under an hour on two processor cores
#   ./run.sh --corpus /data/mboshi-french-parallel-corpus    # a copy that is there
#   ./run.sh --runs conf/runs_shipped.yaml        # asit-tiny and from scratch: nothing is pretrained
#   ./run.sh --quick true                         # every stage in about 3 minutes; its figures mean nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
quick=false                         # a short run of every stage, for tests
corpus=""                           # folder with full_corpus_newsplit, or the one that holds it; empty: it is downloaded
sources="https://github.com/besacier/mboshi-french-parallel-corpus/archive/refs/heads/master.zip" # where the archive is
sha256=unpublished                  # of the archive, when you know one
check_counts=true                   # fail unless there are as many recordings as are published
vocab_size=100                      # sentencepiece units
nj=2                                # jobs at a time: features, fine-tuning, scoring
ngpu=0                              # GPUs of each training; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # ASiT for a small corpus
runs=conf/runs.yaml                 # training, validation and test set and configuration of every run
exp=exp                             # folder of models, logs and scores
parse_options "$@"

data=data fbank=fbank
if $quick; then
    exp=exp_quick data=exp_quick/data fbank=exp_quick/fbank
    pretrain_args="--steps 20 --warmup 5 $pretrain_args"
    finetune_args="--steps 20 --warmup 4 --eval-every 20 $finetune_args"
fi
open_experiment
copy=${corpus:-downloads/mboshi}
sets=() && list_runs sets --runs "$runs" --list all
trains=() && for set in "${sets[@]}"; do [[ $set != train* ]] || trains+=("$set"); done

if begin 0 download "The corpus" -- "$copy"; then
    if [[ -z $corpus ]]; then
        read -r -a archive <<<"$sources"
        asit-download --sources "${archive[@]}" --out downloads/mboshi.zip --sha256 "$sha256" --extract-to "$copy"
    fi
fi

if begin 1 data "Data directories from the corpus" local/prepare.py local/mboshi.py -- "$data/all/wav.scp"; then
    local/prepare.py --corpus "$copy" --check-counts "$check_counts" --data "$data"
    tenth=$(($(wc -l <"$data/train/text") / 10))
    for draw in 0 1 2; do
        asit-subset-data-dir --data-dir "$data/train" --out-dir "$data/train_10pct_$draw" --random "$tenth" --seed "$draw"
    done
    for set in train valid test; do asit-validate-data-dir --data-dir "$data/$set" --require-text true; done
fi

if begin 2 tokens "Units and n-grams of the transcripts that are trained on" -- "$data/train/tokens_char/lm.arpa"; then
    for set in "${trains[@]}"; do
        asit-train-tokens --data-dir "$data/$set" --out-dir "$data/$set/tokens_char" --token-type char
    done
    asit-train-tokens --data-dir "$data/train" --out-dir "$data/train/tokens_unigram" --vocab-size "$vocab_size"
    for tokens in "$data"/train*/tokens_*; do # n-grams of the same transcripts
        asit-train-lm --data-dir "${tokens%/*}" --tokens "$tokens" --out-file "$tokens/lm.arpa" --measure-dir "$data/valid"
    done
fi

if begin 3 features "Log-mel features" "$fbank_config" -- "$data/all/feats.scp"; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" \
        "$data/all" "$data/all/log" "$fbank"
    asit-select-feats --from-dir "$data/all" --data-dirs "${sets[@]/#/$data/}"
fi

if begin 4 stats "Mean and standard deviation of the pool" -- "$data/pool/stats.yaml"; then
    asit-compute-stats --data-dir "$data/pool"
fi

records_in "$exp/.done" # of this experiment
if begin 5 pretrain "Pretrain without transcripts" "$runs" "${init:-$pretrain_config}"; then
    pretrain
fi

if begin 6 finetune "Fine-tune, pretrained and from scratch" "$runs" conf; then
    finetune
fi

if begin 7 score "Decode and score the test set"; then
    score
fi

if begin 8 report "The table" conf/published.yaml -- "$results"; then
    report "Mboshi: results" --also wer --published conf/published.yaml
fi
finish

#!/usr/bin/env bash
# ESC-50, environmental sounds of 50 classes: five-fold cross-validation over the official folds, with a backbone that is
# given (--init) or pretrained on the four training folds. No fold selects anything; one failing fold stops the recipe.
#
#   ./run.sh --ngpu 1                                            # download (600 MB), pretrain, fine-tune, score
#   ./run.sh --ngpu 1 --init ../audioset/exp/pretrain_0/backbone.safetensors   # a backbone from elsewhere
#   ./run.sh --tiny true --init asit-tiny                        # a tiny network that a CPU fine-tunes
#   ./run.sh --ngpu 1 --corpus /data/ESC-50-master               # a copy that is there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
corpus=""                           # folder of ESC-50-master, or the one that holds it; empty: it is downloaded
sources="https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip" # where the archive is; several: blanks between
sha256=unpublished                  # of the archive, when you know one
digest=7dac98ebb302b554321c1ceacd9ab75bb0769516f66d19b4f3a6a6874355c2f2 # of the clips; see local/check_content.py
sample_rate=44100                   # of the clips; they are brought to that of conf/fbank.yaml
check_counts=true                   # fail unless there are 8 clips a class and fold
nj=4                                # parallel jobs
ngpu=0                              # GPUs of each training job; 0: CPU
tiny=false                          # a network for a CPU, and ESC-10 too: conf/*_tiny.yaml, in data_tiny, fbank_tiny, exp_tiny
ablation=""                         # conf/ablation.yaml: pretrainings of the tiny network side by side, in exp_tiny/ablation
fbank_config=""                     # front end; empty: conf/fbank.yaml, or conf/fbank_tiny.yaml
pretrain_config=""                  # ASiT for a small corpus; empty: conf/pretrain.yaml, or conf/pretrain_tiny.yaml
runs=""                             # folds and fine-tuning; empty: conf/runs.yaml or runs_tiny.yaml; runs_ssast.yaml, runs_eat.yaml
exp=""                              # folder of models, logs and scores; empty: exp, or exp_tiny
parse_options "$@"

[[ -z $ablation ]] || tiny=true
$tiny && suffix=_tiny || suffix=""
: "${fbank_config:=conf/fbank$suffix.yaml}" "${pretrain_config:=conf/pretrain$suffix.yaml}"
: "${runs:=conf/runs$suffix.yaml}"
data=data$suffix fbank=fbank$suffix
: "${exp:=exp$suffix}"
by=(--published conf/published.yaml)
[[ -z $ablation ]] || compare_pretrainings
open_experiment
read -r -a archive <<<"$sources"
copy=${corpus:-downloads/ESC-50}
pool="train_fold{fold}"            # each fold pretrains on what it trains on
sets=() && list_runs sets --runs "$runs" --pool "$pool" --init "$init" --list all
trains=() && for set in "${sets[@]}"; do [[ $set != train_* ]] || trains+=("$set"); done

if begin 0 download "The corpus" -- "$copy"; then
    if [[ -z $corpus ]]; then
        asit-download --sources "${archive[@]}" --out downloads/ESC-50-master.zip --sha256 "$sha256" --extract-to "$copy"
        local/check_content.py --corpus "$copy" --digest "$digest"
    fi
fi

if begin 1 data "Data directories for each fold" local/prepare.py local/esc50.py; then
    local/prepare.py --corpus "$copy" --data "$data" --sample-rate "$sample_rate" --check-counts "$check_counts"
    for set in all "${sets[@]}"; do asit-validate-data-dir --data-dir "$data/$set"; done
fi

if begin 2 features "Log-mel features" "$fbank_config" -- "$data/all/feats.scp"; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" --resample true \
        "$data/all" "$data/all/log" "$fbank"
    asit-select-feats --from-dir "$data/all" --data-dirs "${sets[@]/#/$data/}"
fi

if begin 3 stats "Mean and standard deviation of the training folds" "$data/all/feats.scp"; then
    for set in "${trains[@]}"; do asit-compute-stats --data-dir "$data/$set"; done
fi

records_in "$exp/.done" # of this experiment
if begin 4 pretrain "Pretrain without labels, for each fold" "$runs" "${init:-$pretrain_config}"; then
    pretrain
fi

if begin 5 finetune "Fine-tune on four folds, five times" "$runs" "${runs%/*}" asit-tiny; then
    finetune
fi

if begin 6 score "Score each on the fifth; trivial baseline"; then
    score
fi

if begin 7 report "The table" conf/published.yaml -- "$results"; then
    report "ESC-50: results" "${by[@]}"
fi
finish

#!/usr/bin/env bash
# VoxCeleb1: who of 1251 people speaks (the official split), and whether two recordings have one speaker (the official
# trials, by a network that has met none of their 40 speakers). The audio is your own copy; only the lists are fetched.
#
#   ./run.sh --corpus /data/VoxCeleb1 --ngpu 4 --init ../audioset/exp/pretrain_0/backbone.safetensors
#   ./run.sh --corpus /data/VoxCeleb1 --ngpu 4           # pretrains on VoxCeleb1 itself
#   ./run.sh --corpus /data/VoxCeleb1 --lists /data/VoxCeleb1/meta --stage data --stop-stage stats   # no network
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
corpus=""                           # folder with wav/, or with vox1_dev_wav/wav/ and vox1_test_wav/wav/
lists=""                            # folder with iden_split.txt, veri_test.txt, veri_test2.txt; empty: they are fetched
sources=https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta # where the lists are; several: blanks between
veri_test_sha256=303b2b657042a27bf465d4c8aa84e12765373cdc01046665241ccd5783bd5976 # of veri_test.txt; see README.md
check_counts=true                   # fail unless the lists have the official numbers of clips, speakers and trials
max_missing=0.0                     # share of the listed clips that the corpus may lack
resample=false                      # convert recordings of another rate than that of the front end
compression=0                       # of the features: 0: float32, 65 GB; 5: one byte a value, 17 GB
nj=8                                # jobs at a time: features, training, scoring
ngpu=0                              # GPUs of each training job; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # the published settings
runs=conf/runs.yaml                 # M2D's fine-tuning; runs_ssast.yaml: SSAST's
exp=exp                             # folder of models, logs and scores
parse_options "$@"

open_experiment
pool=dev_train
folder=${lists:-downloads/lists}
read -r -a places <<<"$sources"
sets=(iden_train iden_valid iden_test dev_train dev_valid veri_test)

fetch() { # fetch NAME SHA256: one list
    asit-download --sources "${places[@]/%//$1}" --out "$folder/$1" --sha256 "$2"
}

if begin 0 lists "The official lists" -- "$folder/iden_split.txt" "$folder/veri_test.txt" "$folder/veri_test2.txt"; then
    if [[ -z $lists ]]; then
        fetch iden_split.txt unpublished # stage data counts its clips and speakers, and the trials
        fetch veri_test.txt "$veri_test_sha256"
        fetch veri_test2.txt unpublished
    fi
fi

if begin 1 data "Data directories from the corpus" local/prepare.py local/official.py "$folder" -- data/all/wav.scp; then
    local/prepare.py --corpus "$corpus" --lists "$folder" --check-counts "$check_counts" --max-missing "$max_missing"
    for set in all "${sets[@]}"; do asit-validate-data-dir --data-dir "data/$set"; done
fi

if begin 2 features "Log-mel features" "$fbank_config" -- data/all/feats.scp; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" --resample "$resample" \
        --compression "$compression" data/all data/all/log fbank
    asit-select-feats --from-dir data/all --data-dirs "${sets[@]/#/data/}"
fi

if begin 3 stats "Mean and standard deviation of the pool" "data/$pool/feats.scp" -- "data/$pool/stats.yaml"; then
    asit-compute-stats --data-dir "data/$pool"
fi

records_in "$exp/.done" # of this experiment
if begin 4 pretrain "Pretrain without labels" "$runs" "${init:-$pretrain_config}" "data/$pool/stats.yaml"; then
    nj=1 pretrain
fi

if begin 5 finetune "Fine-tune on identification, with all speakers and without those of the trials" "${runs%/*}"; then
    finetune
fi

if begin 6 score "Score identification and verification"; then
    score
fi

if begin 7 report "The table" conf/published.yaml -- "$results"; then
    report "VoxCeleb1: results" --published conf/published.yaml
fi
finish

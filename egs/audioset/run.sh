#!/usr/bin/env bash
# The paper's setting: pretrain ASiT on AudioSet-2M without labels, fine-tune on AudioSet-2M and AudioSet-20K. The audio
# is your own copy, in any layout; the official lists are fetched.
#
#   ./run.sh --audio-dir /data/audioset --ngpu 4                      # everything; days on 4 GPUs
#   ./run.sh --audio-dir /data/audioset --released asit.pth           # fine-tune the authors' released weights
#   ./run.sh --audio-dir /data/audioset --runs conf/runs_as20k.yaml --pool as20k --released asit.pth   # 20K alone
#   ./run.sh --audio-dir /data/audioset --fbank-config conf/fbank_asit_v1.yaml --data data_v1 --exp exp_v1 \
#       --fbank fbank_v1 --pretrain-config conf/pretrain_asit_v1.yaml # the paper's first version, 32 kHz
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
audio_dir=""                        # your copy of the audio: files named by YouTube id, in any folders, of any rate
csv_dir=downloads                   # folder of the official lists; what is not there is fetched
csv_url=https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv # or several, with blanks between
official=true                       # the lists are whole; false: a part of them, with matching comment lines
whole_videos=false                  # the files are whole videos; the segments are cut out of them
min_found=0.5                       # fail when a smaller share of a set has audio
pool=as2m                           # set to pretrain on; its labels are not used
released=""                         # checkpoint of the authors to start from instead of pretraining
nj=16                               # jobs at a time: features
ngpu=4                              # GPUs for pretraining; 0: CPU
finetune_ngpu=1                     # GPUs of each fine-tuning and scoring; batch sizes are per GPU
compression=0                       # of the archives; 5: one byte a value, a quarter of the space
published_stats=true                # mean and deviation as published; false: those of the balanced clips
fbank_config=conf/fbank.yaml        # front end; the released weights' must be the same
pretrain_config=conf/pretrain_asit_v2.yaml  # published settings, 4 GPUs
runs=conf/runs.yaml                 # what is fine-tuned and scored; others stand beside it
data=data                           # folder of the data directories
fbank=fbank                         # folder of the archives
exp=exp                             # folder of models, logs and scores
parse_options "$@"

open_experiment
classes_sha256=cdd1049833c4b86127c2773ac0d14a2754b6a6d0d1798002ed5c66e699708429 # as in AST's repository
[[ -z $released ]] || init=$exp/released/backbone.safetensors
sets=() && list_runs sets --runs "$runs" --pool "$pool" --list all
lists=(balanced_train eval)
[[ " ${sets[*]} " != *" as2m"* ]] || lists+=(unbalanced_train)
mapfile -t csv_files < <(printf "$csv_dir/%s\n" "${lists[@]/%/_segments.csv}" class_labels_indices.csv)
((finetune_ngpu > 0)) && finetune_cmd=$cuda_cmd || finetune_cmd=$train_cmd

if begin 0 download "The official lists" -- "${csv_files[@]}"; then
    read -r -a bases <<<"$csv_url"
    for file in "${csv_files[@]}"; do # the segment lists' hashes are published nowhere: their content is checked below
        [[ $file == */class_* && $official == true ]] && sha256=$classes_sha256 || sha256=unpublished
        [[ -f $file ]] || asit-download --sources "${bases[@]/%//${file##*/}}" --out "$file" --sha256 "$sha256"
    done
    local/lists.py --csv-dir "$csv_dir" --lists "${lists[@]}" --official "$official"
fi

if begin 1 data "Data directories from lists and audio" local/prepare.py local/lists.py local/audio_files.py \
    "${csv_files[@]}" -- "$data/all/wav.scp"; then
    [[ -n $audio_dir ]] || { echo "run.sh: error: --audio-dir is missing: the folder of your AudioSet audio" >&2 && exit 1; }
    local/prepare.py --audio-dir "$audio_dir" --csv-dir "$csv_dir" --data "$data" --sets "${sets[@]}" \
        --official "$official" --whole-videos "$whole_videos" --min-found "$min_found"
    for set in all "${sets[@]}"; do asit-validate-data-dir --data-dir "$data/$set" --check-files false; done
fi

if begin 2 features "Log-mel features; clips found and expected" "$fbank_config" -- "$data/all/feats.scp" "$data/found.md"; then
    # The first channel, as AST's front end takes it.
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" --resample true \
        --channel 0 --compression "$compression" "$data/all" "$data/all/log" "$fbank"
    local/count_found.py --data "$data" --sets "${sets[@]}"
    asit-select-feats --from-dir "$data/all" --data-dirs "${sets[@]/#/$data/}"
fi

if begin 3 stats "Mean and standard deviation" -- "$data/$pool/stats.yaml"; then
    if $published_stats; then
        local/published_stats.py --data-dir "$data/$pool"
    else
        asit-compute-stats --data-dir "$data/as20k" --out "$data/$pool/stats.yaml"
    fi
fi

records_in "$exp/.done" # of this experiment
if begin 4 pretrain "Pretrain without labels, or import released weights" "$runs" "${released:-${init:-$pretrain_config}}"; then
    [[ -z $released ]] || asit-import-model --checkpoint "$released" --out "$init"
    nj=1 pretrain
fi

if begin 5 finetune "Fine-tune with fixed schedules" "$runs" conf; then
    nj=1 ngpu=$finetune_ngpu model_cmd=$finetune_cmd finetune
fi

if begin 6 score "Score on the evaluation set"; then
    nj=1 ngpu=$finetune_ngpu model_cmd=$finetune_cmd score
    cat "$exp"/log/score.*.log
fi

if begin 7 report "The table" conf/published.yaml -- "$results"; then
    report "AudioSet: results" --note "$data/found.md" --published conf/published.yaml \
        --run-command "egs/audioset/run.sh --audio-dir … --runs $runs --seeds $seeds$(changed_options)"
fi
finish

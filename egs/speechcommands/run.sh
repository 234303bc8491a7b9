#!/usr/bin/env bash
# Speech Commands, spoken words of one second: version 2 with 35 classes (--task v2_35), version 1 with ten commands,
# unknown and silence (--task v1_12), or the words of version 1 with 1, 10 and 100 % of the labels (--task v1_words), with
# a backbone that is given (--init) or pretrained on the training clips.
#
#   ./run.sh --ngpu 1                               # download (2.4 GB), pretrain, fine-tune, score
#   ./run.sh --ngpu 1 --task v1_12                  # the twelve classes (1.6 GB)
#   ./run.sh --task v1_words --seeds 3              # few labels; a tiny network: hours on two processor cores
#   ./run.sh --task v1_words --ablation conf/ablation.yaml          # which part of the pretraining pays
#   ./run.sh --task v1_words --ablation conf/amounts.yaml           # what hours of audio and updates are worth
#   ./run.sh --ngpu 1 --init ../audioset/exp/pretrain_0/backbone.safetensors   # a backbone from elsewhere
#   ./run.sh --ngpu 1 --corpus /data/SpeechCommands # holds speech_commands_v0.02, or the two of version 1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
# shellcheck source=../../tools/training.sh
. "$tools/training.sh" # options and stages that recipes share
task=v2_35                          # v2_35, v1_12, v1_words; each has its own data, exp and fbank, and its table in the report
corpus=""                           # folder with the unpacked archives; empty: they are downloaded
mirrors="https://storage.googleapis.com/download.tensorflow.org/data http://download.tensorflow.org/data" # tried in order
archives=local/archives.tsv         # sha256 of the official archives
silence_percent=10                  # v1_12: silence in training and validation, of the commands' clips
unknown_percent=none                # v1_12: unknown words in training, of the commands' clips; none: all of them
check_counts=true                   # fail unless there are as many clips as are published
nj=4                                # parallel jobs
ngpu=0                              # GPUs of each training job; 0: CPU
fbank_config=""                     # front end; empty: conf/fbank.yaml, or conf/fbank_words.yaml
pretrain_config=""                  # ASiT for a small corpus; empty: conf/pretrain.yaml, or conf/pretrain_words.yaml
runs=""                             # fine-tuning; empty: conf/runs_<task>.yaml; conf/runs_v2_35_eat.yaml: EAT's settings
ablation=""                         # conf/ablation.yaml or amounts.yaml, for v1_words: pretrainings side by side, in exp/v1_words/<name>
parse_options "$@"

suffix=""
[[ -z $ablation || $task == v1_words ]] || _wrong "--ablation: expected --task v1_words, found '$task'"
case $task in
    v2_35) names=(speech_commands_v0.02) ;;
    v1_12) names=(speech_commands_v0.01 speech_commands_test_set_v0.01) ;;
    v1_words) names=(speech_commands_v0.01) suffix=_words ;;
    *) _wrong "--task: expected v2_35, v1_12 or v1_words, found '$task'" ;;
esac
: "${fbank_config:=conf/fbank$suffix.yaml}" "${pretrain_config:=conf/pretrain$suffix.yaml}"
: "${runs:=conf/runs_$task.yaml}"
by=(--published conf/published.yaml)
[[ -z $ablation ]] || compare_pretrainings
data=data/$task exp=exp/$task pool=train
open_experiment
sets=() && list_runs sets --runs "$runs" --pool "$pool" --list all
unpacked=("${names[@]/#/downloads/}")
[[ -z $corpus ]] || unpacked=("$corpus")

if begin 0 download "The official archives" "$archives" -- "${unpacked[@]}"; then
    if [[ -z $corpus ]]; then
        read -r -a hosts <<<"$mirrors"
        for name in "${names[@]}"; do
            asit-download --sources "${hosts[@]/%//$name.tar.gz}" --out "downloads/$name.tar.gz" \
                --sha256 "$(awk -v name="$name.tar.gz" '$1 == name { print $2 }' "$archives")" --extract-to "downloads/$name"
        done
    fi
fi

if begin 1 data "Data directories" local/prepare.py local/speech_commands.py local/silence.py -- "$data/all/wav.scp"; then
    local/prepare.py --task "$task" --corpus "${corpus:-downloads}" --data "$data" --check-counts "$check_counts" \
        --silence-percent "$silence_percent" --unknown-percent "$unknown_percent"
    for set in all "${sets[@]}"; do asit-validate-data-dir --data-dir "$data/$set"; done
fi

if begin 2 features "Log-mel features" "$fbank_config" -- "$data/all/feats.scp"; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" \
        "$data/all" "$data/all/log" "fbank/$task"
    asit-select-feats --from-dir "$data/all" --data-dirs "${sets[@]/#/$data/}"
fi

if begin 3 stats "Mean and standard deviation of each pool" "$runs" "$data/train/feats.scp" -- "$data/train/stats.yaml"; then
    pools=() && list_runs pools --runs "$runs" --pool "$pool" --list pool
    for set in "${pools[@]}"; do asit-compute-stats --data-dir "$data/$set"; done
fi

records_in "$exp/.done" # of this experiment
if begin 4 pretrain "Pretrain without labels" "$runs" "${init:-$pretrain_config}"; then
    pretrain
fi

if begin 5 finetune "Fine-tune; the validation set selects" "$runs" "${runs%/*}" asit-tiny; then
    finetune
fi

if begin 6 score "Score on the official test set; trivial baseline"; then
    score
fi

if begin 7 report "The table" conf/published.yaml -- "$results"; then
    plans=("$exp/plan")
    [[ -n $ablation ]] || for done in exp/*"${tag:+/$tag}"/.done/report; do # the other tasks' tables too, once there are some
        [[ ! -f $done || $done == "$done_dir/report" ]] || plans+=("${done%/.done/report}/plan")
    done
    report "Speech Commands: results" --plan "${plans[@]}" "${by[@]}" \
        --run-command "egs/speechcommands/run.sh --task $task --seeds $seeds$(changed_options)"
fi
finish

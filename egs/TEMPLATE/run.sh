#!/usr/bin/env bash
# A recipe to copy: pretrain ASiT on the recordings of a corpus, then fine-tune on its labels with and without that
# pretraining. README.md says what to change; as it is, the corpus is a folder <set>/<label>/<recording>.
#
#   ./run.sh --corpus downloads/my_corpus     # everything
#   ./run.sh --stage finetune --ngpu 1        # from a stage on, by name or number
#   ./run.sh --status                         # which stages are finished
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
corpus=corpus                       # the recordings as they come
train_set=train                     # labelled set to learn from
valid_set=valid                     # labelled set that selects the weights; never the test set
test_sets="test"                    # labelled sets that are scored once
pool_set=train                      # set to pretrain on; its labels are not used
seeds=1                             # runs of everything random, pretraining included; the table has mean and std
nj=4                                # parallel jobs on the processor: features
ngpu=0                              # GPUs for pretraining and fine-tuning; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # ASiT for a small corpus
finetune_config=conf/finetune.yaml  # the task
exp=exp                             # folder of models, logs and scores
results=RESULTS.md                  # where the report goes
parse_options "$@"

# shellcheck disable=SC2034 # begin and finish read it
done_dir=$exp/.done
read -r -a tests <<<"$test_sets"
mapfile -t sets < <(printf '%s\n' "$pool_set" "$train_set" "$valid_set" "${tests[@]}" | sort -u)
tools=${ASIT_ROOT:-../..}/tools
read -r -a job <<<"$train_cmd"
model_job=("${job[@]}")
((ngpu == 0)) || read -r -a model_job <<<"$cuda_cmd --gpu $ngpu"

if begin 0 data "Data directories from the corpus" local/prepare.py "$corpus"; then
    local/prepare.py --corpus "$corpus" --data data --sets "${sets[@]}" --labelled "$train_set" "$valid_set" "${tests[@]}"
    for set in "${sets[@]}"; do asit-validate-data-dir --data-dir "data/$set"; done
fi

if begin 1 features "Log-mel features" "$fbank_config"; then
    for set in "${sets[@]}"; do
        "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" \
            --resample true "data/$set" "$exp/make_fbank" fbank
    done
fi

if begin 2 stats "Mean and standard deviation of the pool" -- "data/$pool_set/stats.yaml"; then
    asit-compute-stats --data-dir "data/$pool_set"
fi

if begin 3 pretrain "Pretrain without labels" "$pretrain_config" "data/$pool_set/feats.scp"; then
    for ((seed = 0; seed < seeds; seed++)); do
        log "seed $seed: progress in $exp/pretrain_$seed/train.log"
        "${model_job[@]}" "$exp/log/pretrain_$seed.log" \
            asit-pretrain --config "$pretrain_config" --data-dir "data/$pool_set" \
            --out-dir "$exp/pretrain_$seed" --seed "$seed" --ngpu "$ngpu"
    done
fi

if begin 4 finetune "Fine-tune, pretrained and from scratch" "$finetune_config"; then
    for ((seed = 0; seed < seeds; seed++)); do
        for start in pretrained scratch; do
            [[ $start == scratch ]] && scratch=true || scratch=false
            "${model_job[@]}" "$exp/log/finetune_${start}_$seed.log" \
                asit-finetune --config "$finetune_config" --init "$exp/pretrain_$seed/backbone.safetensors" \
                --train-dir "data/$train_set" --valid-dir "data/$valid_set" --out-dir "$exp/task_${start}_$seed" \
                --from-scratch "$scratch" --seed "$seed" --ngpu "$ngpu"
        done
    done
fi

if begin 5 score "Score on the test sets; trivial baseline"; then
    for set in "${tests[@]}"; do
        for ((seed = 0; seed < seeds; seed++)); do
            for start in pretrained scratch; do
                run=$exp/task_${start}_$seed
                "${job[@]}" "$exp/log/score_${start}_${seed}_$set.log" \
                    asit-evaluate --model "$run/model.safetensors" --data-dir "data/$set" --out-dir "$run/$set" \
                    --tags "task=$set" --ngpu 0
            done
        done
        "${job[@]}" "$exp/log/baseline_$set.log" \
            asit-baseline --train-dir "data/$train_set" --valid-dir "data/$valid_set" --test-dir "data/$set" \
            --out-dir "$exp/baseline/$set" --tags "task=$set"
    done
fi

if begin 6 report "The table" -- "$results"; then
    asit-report --exp-dir "$exp" --out "$results" --done-dir "$done_dir" --title "Results" \
        --run-command "./run.sh --seeds $seeds"
fi
finish

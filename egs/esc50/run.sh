#!/usr/bin/env bash
# ESC-50, environmental sounds of 50 classes: five-fold cross-validation over the official folds, with a backbone that is
# given (--init) or pretrained on the four training folds. No fold selects anything; one failing fold stops the recipe.
#
#   ./run.sh --ngpu 1                                            # download (600 MB), pretrain, fine-tune, score
#   ./run.sh --ngpu 1 --init ../audioset/exp/pretrain_0/backbone.safetensors   # a backbone from elsewhere
#   ./run.sh --ngpu 1 --corpus /data/ESC-50-master               # a copy that is there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
corpus=""                           # folder of ESC-50-master, or the one that holds it; empty: it is downloaded
sources="https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip" # where the archive is; several: blanks between
sha256=unpublished                  # of the archive, when you know one
digest=7dac98ebb302b554321c1ceacd9ab75bb0769516f66d19b4f3a6a6874355c2f2 # of the clips; see local/check_content.py
sample_rate=44100                   # of the clips; they are brought to that of conf/fbank.yaml
check_counts=true                   # fail unless there are 8 clips a class and fold
init=""                             # backbone.safetensors to start from; empty: pretrain one for each fold
seeds=1                             # runs of everything random; the table has mean and std over folds and seeds
nj=4                                # parallel jobs
ngpu=0                              # GPUs of each training job; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # ASiT for a small corpus
runs=conf/runs.yaml                 # folds and fine-tuning; runs_ssast.yaml, runs_eat.yaml: other published settings
exp=exp                             # folder of models, logs and scores
pretrain_args=""                    # more options of asit-pretrain, such as "--lr 5e-4 --steps 1000"
finetune_args=""                    # more options of asit-finetune
tag=""                              # name of an experiment: trainings and scores in exp/<tag>, data and features shared
results=""                          # where the report goes; empty: RESULTS.md beside the scores
parse_options "$@"

records_in "$exp/.done" # of the stages that all experiments share
exp=$(experiment "$exp" "$tag")
: "${results:=$exp/RESULTS.md}"
read -r -a archive <<<"$sources"
copy=${corpus:-downloads/ESC-50}
sets=() && list_runs sets --runs "$runs" --pool "train_fold{fold}" --init "$init" --list all
trains=() && for set in "${sets[@]}"; do [[ $set != train_* ]] || trains+=("$set"); done
((ngpu > 0)) && model_cmd=$cuda_cmd || model_cmd=$train_cmd

plan() { # the command lines of all jobs, a list for each stage; each fold pretrains on what it trains on
    asit-plan-runs --runs "$runs" --pretrain-config "$pretrain_config" --pool "train_fold{fold}" --init "$init" \
        --seeds "$seeds" --exp "$exp" --out "$exp/plan"
}

if begin 0 download "The corpus" -- "$copy"; then
    if [[ -z $corpus ]]; then
        asit-download --sources "${archive[@]}" --out downloads/ESC-50-master.zip --sha256 "$sha256" --extract-to "$copy"
        local/check_content.py --corpus "$copy" --digest "$digest"
    fi
fi

if begin 1 data "Data directories for each fold" local/prepare.py local/esc50.py; then
    local/prepare.py --corpus "$copy" --sample-rate "$sample_rate" --check-counts "$check_counts"
    for set in all "${sets[@]}"; do asit-validate-data-dir --data-dir "data/$set"; done
fi

if begin 2 features "Log-mel features" "$fbank_config" -- data/all/feats.scp; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" --resample true \
        data/all data/all/log fbank
    asit-select-feats --from-dir data/all --data-dirs "${sets[@]/#/data/}"
fi

if begin 3 stats "Mean and standard deviation of the training folds" data/all/feats.scp; then
    for set in "${trains[@]}"; do asit-compute-stats --data-dir "data/$set"; done
fi

records_in "$exp/.done" # of this experiment
if begin 4 pretrain "Pretrain without labels, for each fold" "$runs" "$pretrain_config"; then
    plan
    "$tools/run_jobs.sh" --cmd "$model_cmd" --nj "$nj" --ngpu "$ngpu" --share-cores true --force "$force" \
        --args "--restart-changed true $pretrain_args" "$exp/plan/pretrain.txt" "$exp/log"
fi

if begin 5 finetune "Fine-tune on four folds, five times" "$runs" "${runs%/*}"; then
    plan
    "$tools/run_jobs.sh" --cmd "$model_cmd" --nj "$nj" --ngpu "$ngpu" --share-cores true --force "$force" \
        --args "--restart-changed true $finetune_args" "$exp/plan/finetune.txt" "$exp/log"
fi

if begin 6 score "Score each on the fifth; trivial baseline"; then
    plan
    "$tools/run_jobs.sh" --cmd "$model_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" --threads 1 \
        "$exp/plan/score.txt" "$exp/log"
    "$tools/run_jobs.sh" --cmd "$train_cmd" --nj "$nj" "$exp/plan/baseline.txt" "$exp/log"
fi

if begin 7 report "The table" conf/published.yaml -- "$results"; then
    asit-report --plan "$exp/plan" --out "$results" --done-dir "$done_dir" --title "ESC-50: results" \
        --published conf/published.yaml --run-command "egs/esc50/run.sh --seeds $seeds$(changed_options)"
    show_results "$results"
fi
finish

# shellcheck shell=bash disable=SC2034,SC2154 # variables of run.sh
# What recipes that pretrain and fine-tune have in common: their options and the bodies of their stages. run.sh sources
# this file above its own options, which may give other defaults. The functions belong to the stages that call them:
# what changes here, or in a variable that they mention, makes those stages run again.
_shared+=("${BASH_SOURCE[0]}")
seeds=1            # runs of everything random, pretraining included; the table has mean and std
init=""            # backbone.safetensors, or the name of weights in asit/weights, to start from; empty: pretrain here
pretrain_args=""   # more options of asit-pretrain, such as "--lr 5e-4 --steps 1000"
finetune_args=""   # more options of asit-finetune
tag=""             # name of an experiment: trainings and scores in exp/<tag>, data and features shared
results=""         # where the report goes; empty: RESULTS.md beside the scores
declare data=data exp=exp pool=pool quick=false # unless run.sh says otherwise

compare_pretrainings() { # of $ablation, in an experiment of its name: rows of the table, with the systems as columns
    [[ -z $init ]] || _wrong "--ablation pretrains and --init does not; leave one out"
    local _name=${ablation##*/}
    runs=$ablation tag=${tag:-${_name%.yaml}}
    by=(--row-tag pretraining --column-tag system --seed-tags seed fold labels)
}

open_experiment() { # the stages above `records_in` belong to all experiments of $exp, those below to that of --tag
    records_in "$exp/.done"
    exp=$(experiment "$exp" "$tag")
    : "${results:=$exp/RESULTS.md}"
    ((ngpu > 0)) && model_cmd=$cuda_cmd || model_cmd=$train_cmd
}

plan() { # the command lines of all jobs, a list for each of the stages below: $exp/plan/pretrain.txt and so on
    asit-plan-runs --runs "$runs" --pretrain-config "$pretrain_config" --pool "$pool" --init "$init" --seeds "$seeds" \
        --data "$data" --exp "$exp" --out "$exp/plan" --first-only "$quick"
}

pretrain() { # asit-pretrain for each seed, and for each fold where the pool differs; jobs at a time share the cores
    plan
    "$tools/run_jobs.sh" --cmd "$model_cmd" --nj "$nj" --ngpu "$ngpu" --share-cores true --force "$force" \
        --args "--restart-changed true $pretrain_args" "$exp/plan/pretrain.txt" "$exp/log"
}

finetune() { # asit-finetune for each run of $runs, pretrained and from scratch
    plan
    "$tools/run_jobs.sh" --cmd "$model_cmd" --nj "$nj" --ngpu "$ngpu" --share-cores true --force "$force" \
        --args "--restart-changed true $finetune_args" "$exp/plan/finetune.txt" "$exp/log"
}

score() { # asit-evaluate, asit-knn and asit-verify for each trained run, asit-baseline for each set
    plan
    local list
    for list in score knn verify; do
        "$tools/run_jobs.sh" --cmd "$model_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" --share-cores true \
            "$exp/plan/$list.txt" "$exp/log"
    done
    "$tools/run_jobs.sh" --cmd "$train_cmd" --nj "$nj" "$exp/plan/baseline.txt" "$exp/log"
}

show_embeddings() { # of the pool, on a map: what pretraining has learned where there are no labels
    asit-plot embedding-map --model "${init:-$exp/pretrain_0/backbone.safetensors}" --data-dir "$data/$pool" \
        --out "$exp/embedding_map.png"
}

report() { # report TITLE [OPTION...]: the table, with more options of asit-report
    asit-report --plan "$exp/plan" --out "$results" --html "$exp/report.html" --done-dir "$done_dir" --title "$1" \
        --run-command "egs/${PWD##*/}/run.sh --seeds $seeds$(changed_options)" "${@:2}"
    show_results "$results"
}

#!/usr/bin/env bash
# The main job, end to end on real speech that ships with the repository: pretrain ASiT on telephone prompts, then
# identify speakers and spot keywords with and without that pretraining. Two CPU cores and no network suffice.
#
#   ./run.sh                      # one seed, about 15 minutes on two cores
#   ./run.sh --seeds 3            # the table of RESULTS.md
#   ./run.sh --quick true         # every stage in about 2 minutes; its figures mean nothing
#   ./run.sh --stage finetune     # from a stage on, by name or number
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
seeds=1                             # runs of everything random, pretraining included; the table has mean and std
quick=false                         # a short run of every stage, for tests
nj=2                                # parallel jobs: features, fine-tuning, scoring
ngpu=0                              # GPUs for pretraining; 0: CPU
corpus=corpus                       # the embedded corpus
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # small-corpus ASiT; the published settings stand beside it
finetune_conf=conf                  # folder of finetune_speaker.yaml and finetune_keyword.yaml
results=RESULTS.md                  # where the report goes
parse_options "$@"

exp=exp data=data fbank=fbank short_pretrain=() short_finetune=()
if $quick; then
    exp=exp_quick data=exp_quick/data fbank=exp_quick/fbank results=exp_quick/RESULTS.md
    short_pretrain=(--steps 30 --warmup-steps 5)
    short_finetune=(--steps 20 --warmup-steps 4 --eval-every 10 --epoch-samples 320)
fi
# shellcheck disable=SC2034 # begin and finish read it
done_dir=$exp/.done
sets=(pool spk_train spk_valid spk_test kws_train kws_valid kws_test)
for draw in 0 1 2; do sets+=("spk_train_10pct_$draw" "spk_train_few_$draw"); done
((ngpu > 0)) && pretrain_cmd=$cuda_cmd || pretrain_cmd=$train_cmd
read -r -a job <<<"$train_cmd"
read -r -a pretrain_job <<<"$pretrain_cmd"
((ngpu == 0)) || pretrain_job+=(--gpu "$ngpu")

plan() { # writes the options of all runs; prints how many pretraining, fine-tuning, scoring and baseline runs there are
    local/plan_runs.py --seeds "$seeds" --pretrain-config "$pretrain_config" --finetune-conf "$finetune_conf" \
        --data "$data" --exp "$exp" --out "$exp/runs" --quick "$quick"
}

if begin 0 data "Data directories from the corpus" "$corpus/manifest.tsv" "$corpus/splits" -- "$data/all/wav.scp"; then
    local/prepare.py --corpus "$corpus" --data "$data"
    for set in all "${sets[@]}"; do asit-validate-data-dir --data-dir "$data/$set"; done
fi

if begin 1 features "Log-mel features" "$fbank_config" -- "$data/all/feats.scp"; then
    ../../tools/make_fbank.sh --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" \
        "$data/all" "$exp/log/make_fbank" "$fbank"
    asit-select-feats --from-dir "$data/all" --data-dirs "${sets[@]/#/$data/}"
fi

if begin 2 stats "Mean and standard deviation of the pool" "$data/pool/feats.scp" -- "$data/pool/stats.yaml"; then
    asit-compute-stats --data-dir "$data/pool"
fi

if begin 3 pretrain "Pretrain without labels" local/plan_runs.py "$pretrain_config" "$data/pool/feats.scp" "$data/pool/stats.yaml"; then
    read -r runs _ < <(plan)
    together=$((ngpu > 0 || runs == 1 ? 1 : runs < nj ? runs : nj)) # runs at a time; they share the cores
    threads=$(($(env -u OMP_NUM_THREADS nproc) / together))
    ((threads > 0)) || threads=1
    log "$runs run(s), $together at a time; progress in $exp/pretrain_*/train.log"
    "${pretrain_job[@]}" --max-jobs-run "$together" --num-threads "$threads" JOB=1:"$runs" "$exp/log/pretrain.JOB.log" \
        asit-pretrain --config "$exp/runs/pretrain.JOB.yaml" --ngpu "$ngpu" --threads "$threads" \
        ${short_pretrain[@]+"${short_pretrain[@]}"}
fi

if begin 4 finetune "Fine-tune, pretrained and from scratch" \
    local/plan_runs.py "$finetune_conf/finetune_speaker.yaml" "$finetune_conf/finetune_keyword.yaml"; then
    read -r _ runs _ < <(plan)
    "${job[@]}" --max-jobs-run "$nj" JOB=1:"$runs" "$exp/log/finetune.JOB.log" \
        asit-finetune --config "$exp/runs/finetune.JOB.yaml" ${short_finetune[@]+"${short_finetune[@]}"}
fi

if begin 5 score "Score on the test sets; trivial baseline"; then
    read -r _ _ runs baselines < <(plan)
    "${job[@]}" --max-jobs-run "$nj" JOB=1:"$runs" "$exp/log/score.JOB.log" \
        asit-evaluate --config "$exp/runs/score.JOB.yaml" --threads 1
    "${job[@]}" --max-jobs-run "$nj" JOB=1:"$baselines" "$exp/log/baseline.JOB.log" \
        asit-baseline --config "$exp/runs/baseline.JOB.yaml"
fi

if begin 6 report "The table" -- "$results"; then
    asit-report --exp-dir "$exp" --out "$results" --done-dir "$done_dir" --title "mini: results" \
        --run-command "egs/mini/run.sh --seeds $seeds"
fi
finish

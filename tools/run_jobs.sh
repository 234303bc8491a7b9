#!/usr/bin/env bash
# Run a command once for each file of options that asit-plan-runs has written, as one job array.
#
#   tools/run_jobs.sh [options] <command> <folder> <log-dir> [-- <option>...]
#   tools/run_jobs.sh --cmd "$train_cmd" --nj 2 asit-finetune exp/runs/finetune exp/log -- --steps 20
#
# Runs `<command> --config <folder>/JOB.yaml <option>...` for JOB = 1 to the number of files; logs are
# <log-dir>/<name of folder>.JOB.log. An empty folder is nothing to do.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/path.sh"
nj=4                            # jobs at a time
cmd="asit-run-local"            # job back end, such as "asit-run-slurm --mem 8G"
ngpu=0                          # GPUs of each job; with some, the command gets --ngpu too
threads=0                       # CPU threads of each job, for a command with --threads; 0: as its options say
share_cores=false               # threads: this machine's cores, divided by the jobs at a time
parse_leading_options "$@"
if ((${#words[@]} < 3)) || [[ ${words[3]---} != -- ]]; then
    echo "usage: ${0##*/} [options] <command> <folder> <log-dir> [-- <option>...]; --help lists the options" >&2 && exit 2
fi
command=${words[0]} folder=${words[1]%/} log_dir=${words[2]%/} more=("${words[@]:4}")
read -r -a job <<<"$cmd"
[[ -d $folder ]] || { echo "${0##*/}: error: $folder: no such folder; asit-plan-runs makes it" >&2 && exit 1; }
count=$(find "$folder" -maxdepth 1 -name '*.yaml' | wc -l)
((count > 0)) || { log "$folder: no runs" && exit 0; }
((nj <= count)) || nj=$count
if $share_cores && ((ngpu == 0)); then
    threads=$(($(env -u OMP_NUM_THREADS nproc) / nj))
    ((threads > 0)) || threads=1
fi
((ngpu == 0)) || { job+=(--gpu "$ngpu") && more=(--ngpu "$ngpu" ${more[@]+"${more[@]}"}); }
((threads == 0)) || { job+=(--num-threads "$threads") && more=(--threads "$threads" ${more[@]+"${more[@]}"}); }
log "$count run(s), at most $nj at a time; logs in $log_dir/${folder##*/}.*.log"
"${job[@]}" --max-jobs-run "$nj" JOB=1:"$count" "$log_dir/${folder##*/}.JOB.log" \
    "$command" --config "$folder/JOB.yaml" ${more[@]+"${more[@]}"}

#!/usr/bin/env bash
# Run a command once for each file of options that asit-plan-runs has written, as one job array.
#
#   tools/run_jobs.sh [options] <command> <folder> <log-dir> [-- <option>...]
#   tools/run_jobs.sh --cmd "$train_cmd" --nj 2 asit-finetune exp/runs/finetune exp/log -- --steps 20
#
# Runs `<command> --config <folder>/JOB.yaml <option>...` for JOB = 1 to the number of files; logs are
# <log-dir>/<name of folder>.JOB.log. An empty folder is nothing to do. Lines of the logs with WARNING are shown at the end.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/path.sh"
nj=4                            # jobs at a time
cmd="asit-run-local"            # job back end, such as "asit-run-slurm --mem 8G"
ngpu=none                       # GPUs of each job, which the command gets as --ngpu; 0: CPU; none: as its options say
threads=0                       # CPU threads of each job, for a command with --threads; 0: as its options say
share_cores=false               # without GPUs, threads: this machine's cores, divided by the jobs at a time
force=false                     # begin again: rename the out_dir of every run to <out_dir>.old-<n> first
parse_leading_options "$@"
if ((${#words[@]} < 3)) || [[ ${words[3]---} != -- ]]; then
    echo "usage: ${0##*/} [options] <command> <folder> <log-dir> [-- <option>...]; --help lists the options" >&2 && exit 2
fi
command=${words[0]} folder=${words[1]%/} log_dir=${words[2]%/} more=("${words[@]:4}")
read -r -a job <<<"$cmd"
[[ $ngpu =~ ^(none|[0-9]{1,9})$ ]] || _wrong "--ngpu: expected a whole number or none, found '$ngpu'"
gpus=$((10#${ngpu/none/0}))
((nj > 0)) || _wrong "--nj: expected at least 1 job at a time, found $nj"
[[ -d $folder ]] || { echo "${0##*/}: error: $folder: no such folder; asit-plan-runs makes it" >&2 && exit 1; }
count=$(find "$folder" -maxdepth 1 -name '*.yaml' | wc -l)
((count > 0)) || { log "$folder: no runs" && exit 0; }
((nj <= count)) || nj=$count
if $share_cores && ((gpus == 0)); then
    threads=$(($(env -u OMP_NUM_THREADS nproc) / nj))
    ((threads > 0)) || threads=1
fi
[[ $ngpu == none ]] || more=(--ngpu "$gpus" ${more[@]+"${more[@]}"})
((gpus == 0)) || job+=(--gpu "$gpus")
((threads == 0)) || { job+=(--num-threads "$threads") && more=(--threads "$threads" ${more[@]+"${more[@]}"}); }
name=${folder##*/}
job_name=$(job_word "$log_dir" "$folder" "$command" ${more[@]+"${more[@]}"})
if $force && [[ " ${job[*]} " != *" --dry"[-_]"run "* ]]; then asit-plan-runs --put-aside "$folder"; fi
log "$count run(s), at most $nj at a time; logs in $log_dir/$name.*.log"
code=0
"${job[@]}" --max-jobs-run "$nj" "$job_name=1:$count" "$log_dir/$name.$job_name.log" \
    "$command" --config "$folder/$job_name.yaml" ${more[@]+"${more[@]}"} || code=$?
if ((code != 86)); then # what a job warns of, such as a run that began again, is for the person at the console too
    for ((i = 1; i <= count; i++)); do
        grep -hs '^[^#].*\bWARNING\b\|^WARNING\b' "$log_dir/$name.$i.log" || true
    done | awk -v name="$name" '!seen[$0]++ { print name ": " $0 }' >&2
fi
exit "$code"

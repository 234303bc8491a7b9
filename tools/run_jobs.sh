#!/usr/bin/env bash
# Run the command lines of a list that asit-plan-runs has written, as one job array.
#
#   tools/run_jobs.sh [options] <list> <log-dir>
#   tools/run_jobs.sh --cmd "$train_cmd" --nj 2 --args "--steps 20" exp/plan/finetune.txt exp/log
#
# Job n runs line n of the list, with the options of --args. The lines are shown first: each may also be pasted into a
# shell (after `. ./path.sh`). Logs are <log-dir>/<name of list>.<n>.log. An empty list is no error. While the
# jobs run, asit-watch shows their progress and their warnings.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/path.sh"
nj=4                            # jobs at a time
cmd="asit-run-local"            # job back end, such as "asit-run-slurm --mem 8G"
ngpu=none                       # GPUs of each job, which the command gets as --ngpu; 0: CPU; none: as its options say
threads=0                       # CPU threads of each job, for a command with --threads; 0: as its options say
share_cores=false               # without GPUs, threads: this machine's cores, divided by the jobs at a time
args=""                         # more options of each command, quoted as for a shell; they win over those of the list
force=false                     # start over: rename the --out-dir of every line to <out_dir>.old-<n> first
parse_leading_options "$@"
if ((${#words[@]} != 2)); then
    echo "usage: ${0##*/} [options] <list> <log-dir>; --help lists the options" >&2 && exit 2
fi
list=${words[0]} log_dir=${words[1]%/} more=()
if [[ $args == *[![:space:]]* ]]; then # as words
    args=$(xargs printf '%s\n' <<<"$args") || _wrong "--args: cannot split '$args' into words; are its quotes in pairs?"
    mapfile -t more <<<"$args"
fi
read -r -a job <<<"$cmd"
[[ $ngpu =~ ^(none|[0-9]{1,9})$ ]] || _wrong "--ngpu: expected a whole number or none, found '$ngpu'"
gpus=$((10#${ngpu/none/0}))
((nj > 0)) || _wrong "--nj: expected at least 1 job at a time, found $nj"
[[ -f $list ]] || { echo "${0##*/}: error: $list: no such list; asit-plan-runs writes it" >&2 && exit 1; }
count=$(wc -l <"$list")
((count > 0)) || { log "$list: no jobs" && exit 0; }
((nj <= count)) || nj=$count
if $share_cores && ((gpus == 0)); then
    threads=$(($(env -u OMP_NUM_THREADS nproc) / nj))
    ((threads > 0)) || threads=1
fi
[[ $ngpu == none ]] || more=(--ngpu "$gpus" ${more[@]+"${more[@]}"})
((gpus == 0)) || job+=(--gpu "$gpus")
((threads == 0)) || { job+=(--num-threads "$threads") && more=(--threads "$threads" ${more[@]+"${more[@]}"}); }
name=${list##*/} name=${name%.txt}
job_name=$(job_word "$_root" "$log_dir" "$list" ${more[@]+"${more[@]}"})
[[ " ${job[*]} " == *" --dry"[-_]"run "* ]] && dry=true || dry=false
if $force && ! $dry; then asit-plan-runs --put-aside "$list"; fi
log "$count job(s), at most $nj at a time; logs in $log_dir/$name.*.log"
while IFS= read -r line; do echo "$line${more[*]:+$(printf ' %q' "${more[@]}")}"; done <"$list"
if ! $dry; then # whatever ends this script also ends cat, and so the watcher
    coproc hold { cat; }
    asit-watch --logs "$log_dir/$name.*.log" --pid "$!" --since "$(printf '%(%s)T' -1)" &
    watcher=$! end=${hold[1]}
fi
code=0 # the jobs stay in the foreground: Ctrl-C has to reach any back end
"${job[@]}" --max-jobs-run "$nj" "$job_name=1:$count" "$log_dir/$name.$job_name.log" \
    "$_root/tools/run_line.sh" "$list" "$job_name" ${more[@]+"${more[@]}"} || code=$?
[[ -z ${watcher-} ]] || { exec {end}>&- && wait "$watcher"; } || true
exit "$code"

#!/usr/bin/env bash
# Run one line of a list of command lines; tools/run_jobs.sh has this done in each of its jobs.
#
#   tools/run_line.sh <list> <number> [<option>...]
#   tools/run_line.sh exp/plan/finetune.txt 3 --ngpu 1
#
# The options follow those of the line, and win over them. The lines are quoted for a shell, as asit-plan-runs writes them.
set -euo pipefail
if (($# < 2)) || [[ ! $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: ${0##*/} <list> <number> [<option>...]" >&2 && exit 2
fi
line=$(sed -n "$2p" <"$1")
[[ -n $line ]] || { echo "${0##*/}: error: $1 has no line $2" >&2 && exit 1; }
shift 2
printf '# %s%s\n' "$line" "${*:+$(printf ' %q' "$@")}"
exec bash -c "exec $line \"\$@\"" "${0##*/}" "$@"

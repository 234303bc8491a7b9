#!/usr/bin/env bash
# Run all tests: form of the code, then unit, contract, golden, shell and recipe tests. Makes its environment by itself
# (2-4 minutes the first time); the tests themselves take about 15 minutes on two cores.
#   tools/test.sh                       everything but the cluster tests
#   tools/test.sh --cluster             also these: they start Slurm and Grid Engine on this machine (about 5 minutes);
#                                       those whose packages are missing are skipped and say so, see
#                                       tools/dev/install_cluster_packages.sh
#   tools/test.sh tests/unit -k ark     other arguments are pytest's
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cluster=false arguments=()
for word; do
    case $word in
        --cluster) cluster=true ;;
        --help) awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}" && exit 0 ;;
        *) arguments+=("$word") ;;
    esac
done
set --
export ASIT_EXTRAS=test
. tools/path.sh

cores=$(python -c 'import os; print(min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2))')
log "Checking the form of the code (about 10 seconds)"
lint=0
tools/dev/lint.sh || lint=$?
log "Running the tests in $cores processes (about 15 minutes)"
tests=0
# A file goes to one process, which runs its recipe once; in the order of the folders, the long ones come first.
python -m pytest -q -n "$cores" --dist loadfile --no-loadscope-reorder --ignore=tests/cluster ${arguments[@]+"${arguments[@]}"} || tests=$?
if $cluster; then # one after the other: they share the daemons that they start
    log "Running the tests on real schedulers (about 5 minutes)"
    python -m pytest -q -rs tests/cluster || tests=$?
fi
[[ $lint == 0 && $tests == 0 ]] || { log "FAILED after $SECONDS s: lint $lint, pytest $tests" && exit 1; }
log "All passed. [elapsed=${SECONDS}s]"

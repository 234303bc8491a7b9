# shellcheck shell=bash
# What every run.sh uses: parse_options, stages (begin, finish), records_in, log, wait_all, list_runs, experiment,
# changed_options, show_results. tools/path.sh sources it; bash >= 4.2.
#
#   parse_options "$@"                                                    # see options.sh
#   if begin 1 features "Log-mel features" conf/fbank.yaml; then          # see stages.sh
#       ...
#   fi
#   finish
#
# The options that every recipe with stages has:
stage=0            # first stage to run, by number or name
stop_stage=10000   # last stage to run, by number or name
skip_stages=""     # stages to leave out, such as "0 1" or "data features"
force=false        # run stages again although they are finished and unchanged
dry_run=false      # only tell which stages would run
status=false       # only list the stages and whether they are finished
config=""          # file of options, "name: value" or "name=value" a line; the command line wins

: "${done_dir:=exp/.done}" "$stage" "$stop_stage" "$skip_stages" "$force" "$dry_run" "$status" "$config"
_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
_package=${_here%/*}/asit # the Python code: beside tools/ in a checkout, around share/tools/ where a wheel is installed,
[[ -e $_here/install.sh ]] || _package=${_here%/*/*} # which has no install.sh
_script=$0
[[ -f $_script ]] || _script="./${0##*/}" # run.sh has changed to its own directory
_shared=() # files of functions and options that belong to run.sh
_begin_line='^[[:space:]]*(if[[:space:]]+)?begin[[:space:]]+([0-9]+)[[:space:]]+([A-Za-z0-9_-]+)[[:space:]]+"([^"]*)"'

log() { # log MESSAGE...: time, caller's file, line and function, message
    local _level=${_up:-0}
    printf '%(%Y-%m-%dT%H:%M:%S)T (%s:%s:%s) %s\n' -1 \
        "${BASH_SOURCE[_level + 1]##*/}" "${BASH_LINENO[_level]}" "${FUNCNAME[_level + 1]}" "$*"
}

wait_all() { # wait_all PID...: wait for each background job; fails when one of them failed
    local pid code failed=0
    for pid; do
        wait "$pid" && continue || code=$?
        _up=1 log "background job $pid failed (exit code $code)" && failed=1
    done
    return "$failed"
}

list_runs() { # list_runs ARRAY OPTION...: put what asit-plan-runs lists into ARRAY; run.sh ends when it fails
    local _listed
    $status && ! command -v asit-plan-runs >/dev/null && return # --status does without the environment
    _listed=$(asit-plan-runs "${@:2}") || exit 1
    mapfile -t "$1" < <([[ -z $_listed ]] || printf '%s\n' "$_listed")
}

job_word() { # job_word WORD...: a name for the job's number that none of these words holds: JOB, else JOBX, JOBXX...
    local _word=JOB # a back end replaces the name wherever it stands, also in the path of a user called JOBS
    while [[ $* == *"$_word"* ]]; do _word+=X; done
    printf %s "$_word"
}

experiment() { # experiment FOLDER TAG: prints FOLDER, or FOLDER/TAG where there is a tag
    [[ -z $2 || $2 =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || _wrong "--tag: expected letters, digits and . _ -, found '$2'"
    [[ ! $2 =~ ^(log|plan|data|fbank|released)$ ]] || _wrong "--tag: '$2' has a meaning of its own there; take another name"
    printf %s "$1${2:+/$2}"
}

changed_options() { # prints ` --init ... --tag ... --pretrain-args ...` and so on, of these those that are set
    local _name
    [[ ${tiny-} != true ]] || printf ' --tiny true'
    [[ ${tiny-} == true || ${runs-} != conf/runs_* ]] || printf ' --runs %s' "$runs" # another list than the usual one
    for _name in ablation init tag pretrain_args finetune_args; do
        [[ -z ${!_name-} ]] || printf " --%s '%s'" "${_name//_/-}" "${!_name}"
    done
}

show_results() { # show_results FILE: the tables of a report, where it is, and beside it those of the committed RESULTS.md
    # shellcheck disable=SC2016 # sed's last line
    local _tables='/^## How these numbers were made/q; /^## /,$p'
    log "the tables of $1:" && sed -n "$_tables" "$1"
    [[ -f RESULTS.md && ! RESULTS.md -ef $1 ]] || return 0
    log "for comparison RESULTS.md, which came with this recipe:" && sed -n "$_tables" RESULTS.md
}

# shellcheck source=tools/options.sh
. "$_here/options.sh"
# shellcheck source=tools/stages.sh
. "$_here/stages.sh"
_own=" $(compgen -A function | tr '\n' ' ') " # what is defined from here on belongs to run.sh

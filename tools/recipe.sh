# shellcheck shell=bash
# What every run.sh uses: parse_options, stages (begin, finish), log, wait_all. Sourced by tools/path.sh; bash >= 4.2.
#
#   parse_options "$@"                         see options.sh
#   if begin 1 features "Log-mel features" conf/fbank.yaml data/train/wav.scp; then
#       ...
#   fi
#   finish
#
# `begin NUMBER NAME "Title" [INPUT...] [-- OUTPUT...]` is true when the stage has to run. A finished stage is left alone until
# something it depends on changes: the commands in its body (and the functions of run.sh they call), the values of the
# variables of run.sh that these mention, an INPUT (files by content, folders by names, sizes and times), the stage
# before it, or an OUTPUT is missing. NUMBER, NAME and "Title" are literals; a stage must not write to its own INPUTs. The record of a finished
# stage is $done_dir/NAME, written after all of it is done; set done_dir where run.sh has more than one place for results.
stage=0            # first stage to run, by number or name
stop_stage=10000   # last stage to run, by number or name
skip_stages=""     # stages to leave out, such as "0 1" or "data features"
force=false        # run stages again although they are finished and unchanged
dry_run=false      # only tell which stages would run
status=false       # only list the stages and whether they are finished
config=""          # file of options, "name: value" or "name=value" a line; the command line wins
: "${done_dir:=exp/.done}" "${config}"

_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
_begin_line='^[[:space:]]*(if[[:space:]]+)?begin[[:space:]]+([0-9]+)[[:space:]]+([A-Za-z0-9_-]+)[[:space:]]+"([^"]*)"'
_neutral=" stage stop_stage skip_stages force dry_run status config done_dir nj ngpu num_workers "
_open="" _record="" _before=none

log() { # log MESSAGE...: time, caller's file, line and function, message
    local up=${_up:-0}
    printf '%(%Y-%m-%dT%H:%M:%S)T (%s:%s:%s) %s\n' -1 \
        "${BASH_SOURCE[up + 1]##*/}" "${BASH_LINENO[up]}" "${FUNCNAME[up + 1]}" "$*"
}

# shellcheck source=tools/options.sh
. "$_here/options.sh"

wait_all() { # wait_all PID...: wait for each background job; fails when one of them failed
    local pid code failed=0
    for pid; do
        wait "$pid" && continue || code=$?
        _up=1 log "background job $pid failed (exit code $code)" && failed=1
    done
    return "$failed"
}

_body() { # _body NAME: the commands of a stage, without comment lines, and the functions of run.sh that they call
    local line inside=false text="" name
    while IFS= read -r line; do
        if [[ $line =~ $_begin_line ]]; then
            inside=false
            [[ ${BASH_REMATCH[3]} != "$1" ]] || inside=true
        elif [[ $line == finish* ]]; then
            inside=false
        elif $inside && [[ ! $line =~ ^[[:space:]]*(#|$) ]]; then
            text+=$line$'\n'
        fi
    done <"$_script"
    for name in $(compgen -A function); do
        [[ $_own == *" $name "* || ! $text =~ (^|[^A-Za-z0-9_])"$name"([^A-Za-z0-9_]|$) ]] || text+=$(declare -f "$name")$'\n'
    done
    printf %s "$text"
}

_describe() { # _describe NAME INPUT...: one line for each thing that the stage depends on
    local text name
    text=$(_body "$1") && shift
    printf 'stage before %s\ncommands %s\n' "$_before" "$(cksum <<<"$text")"
    while IFS= read -r name; do # variables that run.sh assigns outside of stages
        [[ $_neutral == *" $name "* || ! $text =~ \$\{?[#!]?"$name"([^A-Za-z0-9_]|$) || -z ${!name+set} ]] ||
            printf 'variable %s %s\n' "$name" "$(declare -p "$name" | cksum)"
    done < <(sed -E "/$_begin_line/,\$d" "$_script" | grep -oE '(^|[ ;(])[A-Za-z_][A-Za-z0-9_]*=' | tr -d ' ;(=' | sort -u)
    for name; do
        if [[ -d $name ]]; then
            printf 'input %s %s\n' "$name" "$(find -L "$name" -type f -printf '%P %s %T@\n' | LC_ALL=C sort | cksum)"
        else
            printf 'input %s %s\n' "$name" "$(cksum 2>/dev/null <"$name" || printf missing)"
        fi
    done
}

begin() { # begin NUMBER NAME "Title" [INPUT...] [-- OUTPUT...]: true when the stage has to run
    local number=$1 name=$2 title=$3 inputs=() record state="not done" old changed output
    shift 3 && _complete
    while (($#)) && [[ $1 != -- ]]; do inputs+=("$1") && shift; done
    record=$(_describe "$name" ${inputs[@]+"${inputs[@]}"})
    old=$(cat "$done_dir/$name" 2>/dev/null) || old=""
    if [[ -n $old ]]; then
        changed=$(grep -vxFf <(printf '%s\n' "$old") <<<"$record" | head -n 1 | sed 's/ [0-9]* [0-9]*$//') || changed=""
        [[ ${old%$'\n'finished *} == "$record" ]] && state="finished" || state="changed: ${changed:-fewer inputs}"
        for output in "${@:2}"; do [[ -e $output ]] || state="changed: $output is missing"; done
    fi
    _before=$(cksum <<<"$old") # a stage run again gets a new record, which makes the next one run again
    if $status; then
        printf '%3s %-14s %-42s %s\n' "$number" "$name" "$title" "$state" && return 1
    fi
    if ((number < stage || number > stop_stage)) || [[ " $skip_stages " == *" $number "* || " $skip_stages " == *" $name "* ]]; then
        return 1
    elif [[ $state == finished ]] && ! $force; then
        _up=1 log "Stage $number ($name) is finished and unchanged; --force true runs it again" && return 1
    elif $dry_run; then
        _before="to be run" && _up=1 log "Stage $number ($name) would run: $title ($state)" && return 1
    fi
    { mkdir -p "$done_dir" && rm -f "$done_dir/$name"; } || _wrong "cannot write to $done_dir"
    _up=1 log "Stage $number ($name): $title$([[ $state != changed* ]] || printf ' (%s)' "$state")"
    _open=$name _record=$record _started=$SECONDS
}

_complete() { # record the stage that has just ended, if one has
    [[ -n $_open ]] || return 0
    local record="$done_dir/$_open"
    { printf '%s\nfinished %(%Y-%m-%dT%H:%M:%S)T after %s s, run %s\n' \
        "$_record" -1 "$((SECONDS - _started))" "$$.$RANDOM" >"$record.tmp-$$" &&
        mv "$record.tmp-$$" "$record"; } || _wrong "cannot write $record"
    _before=$(cksum <"$record") _open=""
}

finish() { # the last line of run.sh
    _complete
    $status || _up=1 log "Successfully finished. [elapsed=${SECONDS}s]"
}

_on_exit() {
    local code=$?
    if [[ -n $_open ]]; then
        [[ $code != 0 ]] || { code=1 && log "run.sh ended inside stage $_open: is 'finish' its last line?"; }
        log "Stage $_open failed (exit code $code); mend it and go on with --stage $_open [elapsed=${SECONDS}s]" >&2
    fi
    exit "$code"
}
_own=" $(compgen -A function | tr '\n' ' ') "

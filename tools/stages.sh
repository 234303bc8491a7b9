# shellcheck shell=bash disable=SC2154 # variables of recipe.sh
# Stages of run.sh: begin and finish; sourced by tools/recipe.sh.
# `begin NUMBER NAME "Title" [INPUT...] [-- OUTPUT...]` is true when the stage has to run: it is within --stage and
# --stop-stage, and not finished. A finished stage is left alone until something that it depends on changes:
#   - the commands in its body, and the functions of run.sh and of files in _shared (training.sh) that they call;
#   - the values of variables which these files assign above the first stage and which these commands mention, except
#     those that only say how fast it goes: nj, ngpu, num_workers;
#   - an INPUT: a file's content, or that of weights in asit/weights by their name; in a folder the names and contents
#     of its files (tools/checksum_folder.py), never their times: a copy of a recipe is as finished as the recipe;
#   - an OUTPUT is missing;
#   - the stage before it has run again.
# NUMBER, NAME and "Title" are literals. A stage does not write to its own INPUTs, and those of stages outside --stage and
# --stop-stage are not read: the record of the stage before is. `finish` ends run.sh. A stage that ends with code 86 was
# only shown by a job back end's `--dry-run`: run.sh stops, nothing is recorded. A finished stage's record is
# $done_dir/NAME, written at its end; `records_in FOLDER` sets done_dir for those below it. Locals that live while
# variables of run.sh are read start with an underscore.
_neutral=" stage stop_stage skip_stages force dry_run status config done_dir nj ngpu num_workers "
_open="" _record="" _started=0 _before=none _locked=""

_body() { # _body NAME: the commands of a stage, without comment lines, and the functions of run.sh and _shared that they call
    local line inside=false text="" name added=" "
    while IFS= read -r line; do
        if [[ $line =~ $_begin_line ]]; then
            [[ ${BASH_REMATCH[3]} == "$1" ]] && inside=true || inside=false
        elif [[ $line == finish* || $line == records_in* ]]; then
            inside=false
        elif $inside && [[ ! $line =~ ^[[:space:]]*(#|$) ]]; then
            text+=$line$'\n'
        fi
    done <"$_script"
    for name in $(compgen -A function) $(compgen -A function); do # twice: a function may call another
        [[ $_own$added != *" $name "* && $text =~ (^|[[:space:]\;\&\|\(])"$name"([[:space:]\;\&\|\)]|$) ]] || continue
        text+=$(declare -f "$name")$'\n' added+="$name "
    done
    printf %s "$text"
}

_describe() { # _describe NAME INPUT...: one line for each thing that the stage depends on
    local _text _name
    _text=$(_body "$1") && shift
    printf 'stage before %s\ncommands %s\n' "$_before" "$(cksum <<<"$_text")"
    while IFS= read -r _name; do
        [[ $_neutral != *" $_name "* && -n ${!_name+set} ]] || continue
        [[ $_text =~ (\$\{?[#!]?|\(\(([^\)]*[^A-Za-z0-9_])?)"$_name"([^A-Za-z0-9_]|$) ]] || continue
        printf 'variable %s %s\n' "$_name" "$(declare -p "$_name" | cksum)"
    done < <(sed -E "/$_begin_line/,\$d" "$_script" | cat ${_shared[@]+"${_shared[@]}"} - |
        grep -oE '(^|[ ;(])[A-Za-z][A-Za-z0-9_]*=' | tr -d ' ;(=' | sort -u)
    for _name; do
        if [[ -d $_name ]]; then
            _text=$(python3 -IS "$_here/checksum_folder.py" "$_name" "$done_dir/.checksums") ||
                _wrong "$_name: cannot read the folder"
            printf 'input %s %s\n' "$_name" "$_text"
        else
            [[ -f $_name ]] && _text=$_name || _text=$_package/weights/$_name.safetensors
            printf 'input %s %s\n' "$_name" "$(cksum 2>/dev/null <"$_text" || printf missing)"
        fi
    done
}

begin() { # begin NUMBER NAME "Title" [INPUT...] [-- OUTPUT...]: true when the stage has to run
    local _number=$1 _stage=$2 _title=$3 _inputs=() _now _old="" _state="not done" _changed
    shift 3 && _complete
    [[ ! -e $done_dir/$_stage ]] || _old=$(<"$done_dir/$_stage")
    if ! $status && { ((_number < stage || _number > stop_stage)) || [[ " $skip_stages " =~ " "($_number|$_stage)" " ]]; }; then
        _before=$(cksum <<<"$_old") && return 1
    fi
    while (($#)) && [[ $1 != -- ]]; do _inputs+=("$1") && shift; done
    _now=$(_describe "$_stage" ${_inputs[@]+"${_inputs[@]}"}) || exit 2
    if [[ $_old == *$'\n'finished\ * && ${_old%$'\n'finished *} == "$_now" ]]; then
        _state=finished
        for _changed in "${@:2}"; do [[ -e $_changed ]] || _state="changed: $_changed is missing"; done
    elif [[ -n $_old ]]; then
        _changed=$(grep -vxFf <(printf '%s\n' "$_old") <<<"$_now" | head -n 1 | sed 's/ [0-9]* [0-9]*$//')
        _state="changed: ${_changed:-fewer inputs}"
    fi
    _before=$(cksum <<<"$_old") # a stage that runs again gets a new record: the next one runs again, then or later
    if $status; then
        [[ $_state == finished ]] || _before="0 0"
        printf '%3s %-14s %-42s %s\n' "$_number" "$_stage" "$_title" "$_state" && return 1
    elif [[ $_state == finished ]] && ! $force; then
        _up=1 log "Stage $_number ($_stage) is finished and unchanged; --force true runs it again" && return 1
    elif $dry_run; then
        _before="0 0" && _up=1 log "Stage $_number ($_stage) would run: $_title ($_state)" && return 1
    fi
    { mkdir -p "$done_dir" && rm -f "$done_dir/$_stage"; } || _wrong "cannot write to $done_dir"
    _lock
    [[ $_state == changed* ]] || _state=""
    _up=1 log "Stage $_number ($_stage): $_title${_state:+ ($_state)}"
    export ASIT_RUN_SH="$HOSTNAME $$" && _open=$_stage _record=$_now _started=$SECONDS # its jobs end with it: asit/launch/usage.py
}

records_in() { # records_in FOLDER: where the records of the stages that follow are
    _complete && done_dir=$1
}

_lock() { # one run.sh at a time makes what $done_dir records; its jobs hold the lock too, so that orphans are noticed
    local _held=0
    [[ $_locked != "$done_dir" ]] && command -v flock >/dev/null || return 0
    exec 9>>"$done_dir/.lock" && _locked=$done_dir
    flock -n -E 9 9 || _held=$?
    [[ $_held != 9 ]] || _wrong "another run.sh, or jobs that it has left, are at work on ${done_dir%/*}; wait for their end"
}

_complete() { # record the stage that has just ended, if one has
    [[ -n $_open ]] || return 0
    local _file="$done_dir/$_open"
    { printf '%s\nfinished %(%Y-%m-%dT%H:%M:%S)T after %s s, run %s\n' \
        "$_record" -1 "$((SECONDS - _started))" "$$.$RANDOM" >"$_file.tmp-$$" &&
        mv "$_file.tmp-$$" "$_file"; } || { rm -f "$_file.tmp-$$" && _wrong "cannot write $_file"; }
    _before=$(cksum <"$_file") _open=""
}

finish() { # the last line of run.sh
    _complete
    $status || _up=1 log "Successfully finished. [elapsed=${SECONDS}s]"
}

_on_exit() { # whatever ends run.sh: a stage that is still open has failed
    local _code=$?
    if [[ -n $_open ]]; then
        [[ $_code != 0 ]] || { _code=1 && log "run.sh ended inside stage $_open: is 'finish' its last line?"; }
        if [[ $_code == 86 ]]; then
            log "Stage $_open was only shown: its jobs have --dry-run. Nothing is recorded as done; later stages need its files" >&2
        else
            log "Stage $_open failed (exit code $_code); see the messages above, then go on with --stage $_open" \
                "[elapsed=${SECONDS}s]" >&2
        fi
    fi
    exit "$_code"
}

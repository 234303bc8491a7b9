# shellcheck shell=bash disable=SC2154 # variables of recipe.sh
# parse_options for run.sh; sourced by tools/recipe.sh. Values are set with printf -v and never evaluated.
#
# The options of a recipe are the variables assigned at the start of a line of run.sh above `parse_options "$@"`, or of a
# file of shared stages that run.sh sources (_shared):
#     stage=0; nj=4        # one or more a line; the note is shown by --help
# --foo-bar v, --foo_bar v and --foo=v are the same. A variable whose default is true or false takes only these, and
# --foo alone means true; one whose default is a number takes only numbers. --config FILE is read first, whatever its place: the command line wins.
# Locals of functions that touch options start with an underscore, so that an option may have any name.
_options=() # names in the order of their declaration
declare -A _notes=() _declared=()

# shellcheck source=tools/option_values.sh
. "$_here/option_values.sh"

_wrong() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2 && exit 2; }
_has_stages() { grep -qE "$_begin_line" "$_script"; }

_declare() { # _declare FILE: note the options that it declares
    local line rest names name quoted='"[^"]*"|'\''[^'\'']*'\'
    local assignment="^([a-z][a-z0-9_]*)=($quoted|[^;#[:space:]]*)[[:space:]]*;?[[:space:]]*(.*)\$"
    while IFS= read -r line && [[ ! $line =~ ^parse_(leading_)?options ]]; do
        rest=$line names=()
        while [[ $rest =~ $assignment ]]; do names+=("${BASH_REMATCH[1]}") rest=${BASH_REMATCH[3]}; done
        for name in ${names[@]+"${names[@]}"}; do
            [[ -n ${_declared[$name]-} ]] || _options+=("$name")
            _declared[$name]=yes
            [[ ! $rest =~ ^#[[:space:]]*(.*)$ ]] || _notes[$name]=${BASH_REMATCH[1]}
        done
    done <"$1"
}

_read_config() { # _read_config FILE: flat "name: value" or "name=value" lines; nothing in it is executed
    local _line _number=0 _name _value _pair='^([A-Za-z][A-Za-z0-9_-]*)[[:space:]]*[:=][[:space:]]*(.*)$'
    [[ -f $1 && -r $1 ]] || _wrong "--config: cannot read the file '$1'"
    while IFS= read -r _line || [[ -n $_line ]]; do
        _number=$((_number + 1)) _line=${_line%$'\r'}
        [[ ! $_line =~ ^[[:space:]]*(#.*)?$ && $_line != --- ]] || continue
        [[ $_line =~ $_pair ]] || _wrong "$1:$_number: expected 'option: value' or 'option=value', found '$_line'"
        _name=${BASH_REMATCH[1]} _value=${BASH_REMATCH[2]}
        if [[ $_value =~ ^\"([^\"]*)\"[[:space:]]*(#.*)?$ || $_value =~ ^\'([^\']*)\'[[:space:]]*(#.*)?$ ]]; then
            _value=${BASH_REMATCH[1]}
        else
            [[ $_value != '#'* ]] || _value=""
            _value=${_value%%[[:space:]]#*} _value=${_value%"${_value##*[![:space:]]}"}
        fi
        _set "$1:$_number" "$_name" "$_value"
    done <"$1"
}

_help() { # the comment at the head of the script, its options, its stages
    local _name _line
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$_script"
    printf '\nOptions (--name value; defaults in brackets):\n'
    for _name in "${_options[@]}"; do printf '  --%-16s %s [%s]\n' "${_name//_/-}" "${_notes[$_name]-}" "${!_name}"; done
    _has_stages || return 0
    printf '\nStages:\n'
    while IFS= read -r _line; do
        [[ ! $_line =~ $_begin_line ]] || printf '  %3s %-16s %s\n' "${BASH_REMATCH[@]:2:3}"
    done <"$_script"
}

_stage_number() { # _stage_number OPTION NUMBER_OR_NAME: prints the number
    local line known=""
    while IFS= read -r line; do
        [[ $line =~ $_begin_line ]] || continue
        [[ ${BASH_REMATCH[3]} != "$2" ]] || { printf %s "${BASH_REMATCH[2]}" && return; }
        known+=" ${BASH_REMATCH[2]}=${BASH_REMATCH[3]}"
    done <"$_script"
    [[ $2 =~ ^[0-9]+$ ]] || _wrong "$1: no stage '$2'; the stages are:$known"
    printf %s "$((10#$2))"
}

parse_leading_options() { # parse_leading_options "$@": options with values, then words as in Kaldi; leaves `words`
    local _given=()
    while (($#)) && [[ $1 == --* ]]; do
        if [[ $1 == *=* || $1 == --help ]] || (($# < 2)); then
            _given+=("$1") && shift
        else
            _given+=("$1" "$2") && shift 2
        fi
    done
    # shellcheck disable=SC2034 # the script that sources this file reads it
    words=("$@")
    parse_options ${_given[@]+"${_given[@]}"}
}

parse_options() { # parse_options "$@"
    local _names=() _values=() _name _next _i _command
    printf -v _command ' %q' "$0" "$@"
    ! _has_stages || _declare "$_here/recipe.sh" # a script without stages has its own options only
    for _name in ${_shared[@]+"${_shared[@]}"} "$_script"; do _declare "$_name"; done
    _note_kinds
    while (($#)); do
        [[ $1 == --?* ]] || _wrong "unexpected argument '$1': options are given as --name value; see --help"
        if [[ $1 == --help ]]; then _help && exit 0; fi
        _name=${1#--} _name=${_name%%=*} _name=${_name//-/_}
        _names+=("$_name")
        if [[ $1 == *=* ]]; then
            _values+=("${1#*=}")
        elif _is_flag "$_name" && [[ ! ${2-} =~ ^[^-] ]]; then
            _values+=(true)
        elif [[ -n ${_declared[$_name]-} ]] && (($# < 2)); then
            _wrong "$1: a value is missing"
        elif [[ ${2-} == -- ]]; then
            _wrong "$1: a value is missing, found --"
        elif [[ ${2-} == --* ]] && _next=${2#--} _next=${_next%%=*} && [[ -n $_next && -n ${_declared[${_next//-/_}]-} ]]; then
            _wrong "$1: a value is missing, found the option $2 (write $1=$2 if that is the value)"
        else
            _values+=("${2-}") && shift $(($# > 1))
        fi
        shift
    done
    for _i in ${_names[@]+"${!_names[@]}"}; do [[ ${_names[_i]} != config ]] || _read_config "${_values[_i]}"; done
    for _i in ${_names[@]+"${!_names[@]}"}; do _set "--${_names[_i]//_/-}" "${_names[_i]}" "${_values[_i]}"; done
    _has_stages || return 0
    stage=$(_stage_number --stage "$stage") || exit 2
    stop_stage=$(_stage_number --stop-stage "$stop_stage") || exit 2
    for _name in $skip_stages; do _stage_number --skip-stages "$_name" >/dev/null || exit 2; done
    trap _on_exit EXIT
    $status || _up=1 log "${_command# }"
}

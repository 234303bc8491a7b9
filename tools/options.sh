# shellcheck shell=bash disable=SC2154 # variables of recipe.sh
# parse_options for run.sh; sourced by tools/recipe.sh. Values are set with printf -v and never evaluated.
#
# The options of a recipe are the variables assigned in run.sh at the start of a line above `parse_options "$@"`:
#     stage=0; nj=4        # one or more a line; the note is shown by --help
# --foo-bar v, --foo_bar v, --foo=v are the same. A variable whose default is true or false takes only these, and
# --foo alone means true. --config FILE is read first, whatever its place: the command line wins.
_script=$0
[[ -f $_script ]] || _script="./${0##*/}" # run.sh has changed to its own directory
_options=()               # names in the order of their declaration
declare -A _notes=() _declared=()

_wrong() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2 && exit 2; }

_declare() { # _declare FILE: note the options that it declares, their defaults are their values now
    local line rest names name quoted='"[^"]*"|'\''[^'\'']*'\'
    local assignment="^([a-z][a-z0-9_]*)=($quoted|[^;#[:space:]]*)[[:space:]]*;?[[:space:]]*(.*)\$"
    while IFS= read -r line && [[ $line != parse_options* ]]; do
        rest=$line names=()
        while [[ $rest =~ $assignment ]]; do names+=("${BASH_REMATCH[1]}") rest=${BASH_REMATCH[3]}; done
        for name in ${names[@]+"${names[@]}"}; do
            [[ -n ${_declared[$name]-} ]] || _options+=("$name")
            _declared[$name]=yes
            [[ $rest != '#'* ]] || _notes[$name]=${rest#\#}
        done
    done <"$1"
}

_set() { # _set WHERE NAME VALUE
    local name=${2//-/_} near
    if [[ -z ${_declared[$name]-} ]]; then
        near=$(python3 -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1], sys.argv[2:], 1, 0))' \
            "$name" "${_options[@]}") || near=help
        _wrong "$1: unknown option '${2//_/-}'; did you mean '${near//_/-}'? --help lists all"
    fi
    [[ ! ${!name} =~ ^(true|false)$ || $3 =~ ^(true|false)$ ]] ||
        _wrong "$1: ${name//_/-} is true or false, found '$3'"
    printf -v "$name" %s "$3"
}

_read_config() { # _read_config FILE: flat "name: value" or "name=value" lines; nothing in it is executed
    local line number=0 name value pair='^([A-Za-z][A-Za-z0-9_-]*)[[:space:]]*[:=][[:space:]]*(.*)$'
    [[ -f $1 && -r $1 ]] || _wrong "--config: cannot read the file '$1'"
    while IFS= read -r line || [[ -n $line ]]; do
        number=$((number + 1)) line=${line%$'\r'}
        [[ ! $line =~ ^[[:space:]]*(#.*)?$ && $line != --- ]] || continue
        [[ $line =~ $pair ]] || _wrong "$1:$number: expected 'option: value' or 'option=value', found '$line'"
        name=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
        if [[ $value =~ ^\"([^\"]*)\"[[:space:]]*(#.*)?$ || $value =~ ^\'([^\']*)\'[[:space:]]*(#.*)?$ ]]; then
            value=${BASH_REMATCH[1]}
        else
            [[ $value != '#'* ]] || value=""
            value=${value%%[[:space:]]#*} value=${value%"${value##*[![:space:]]}"}
        fi
        _set "$1:$number" "$name" "$value"
    done <"$1"
}

_help() { # the comment at the head of run.sh, the options, the stages
    local name line
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$_script"
    printf '\nOptions (--name value; defaults in brackets):\n'
    for name in "${_options[@]}"; do printf '  --%-16s %s [%s]\n' "${name//_/-}" "${_notes[$name]-}" "${!name}"; done
    grep -qE "$_begin_line" "$_script" || return 0
    printf '\nStages:\n'
    while IFS= read -r line; do
        [[ ! $line =~ $_begin_line ]] || printf '  %3s %-16s %s\n' "${BASH_REMATCH[@]:2:3}"
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

parse_options() { # parse_options "$@"
    local names=() values=() name i command
    printf -v command ' %q' "$0" "$@"
    ! grep -qE "$_begin_line" "$_script" || _declare "$_here/recipe.sh" # a script without stages has its own options only
    _declare "$_script"
    while (($#)); do
        name=${1#--} && name=${name%%=*} && name=${name//-/_}
        [[ $1 == --?* ]] || _wrong "unexpected argument '$1': options are given as --name value; see --help"
        if [[ $1 == --help ]]; then _help && exit 0; fi
        if [[ $1 == *=* ]]; then
            names+=("$name") values+=("${1#*=}")
        elif [[ -n ${_declared[$name]-} && ${!name} =~ ^(true|false)$ && ! ${2-} =~ ^[^-] ]]; then
            names+=("$name") values+=(true)
        elif (($# < 2)) || [[ $2 == --* && -n ${_declared[$(tr - _ <<<"${2#--}")]-} ]]; then
            [[ -n ${_declared[$name]-} ]] || _set "$1" "$name" ""
            _wrong "$1: a value is missing"
        else
            names+=("$name") values+=("$2") && shift
        fi
        shift
    done
    for i in "${!names[@]}"; do [[ ${names[i]} != config ]] || _read_config "${values[i]}"; done
    for i in "${!names[@]}"; do _set "--${names[i]//_/-}" "${names[i]}" "${values[i]}"; done
    stage=$(_stage_number --stage "$stage") || exit 2
    stop_stage=$(_stage_number --stop-stage "$stop_stage") || exit 2
    for name in $skip_stages; do _stage_number --skip-stages "$name" >/dev/null || exit 2; done
    grep -qE "$_begin_line" "$_script" || return 0
    trap _on_exit EXIT
    $status || _up=1 log "${command# }"
}

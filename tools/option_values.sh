# shellcheck shell=bash disable=SC2154 # variables of options.sh
# What the options of run.sh may be set to; sourced by tools/options.sh.
declare -A _kinds=() # option -> whole or decimal

_is_flag() { [[ -n ${_declared[$1]-} && ${!1} =~ ^(true|false)$ ]]; }

_set() { # _set WHERE NAME VALUE
    local _name=${2//-/_} _near
    if [[ -z ${_declared[$_name]-} ]]; then
        _near=$(python3 -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1], sys.argv[2:], 1, 0))' \
            "$_name" "${_options[@]}") || _near=help
        _wrong "$1: unknown option '${2//_/-}'; did you mean '${_near//_/-}'? --help lists all"
    fi
    if _is_flag "$_name" && [[ ! $3 =~ ^(true|false)$ ]]; then
        _wrong "$1: ${_name//_/-} is true or false, found '$3'"
    fi
    case ${_kinds[$_name]-} in
        whole) [[ $3 =~ ^-?[0-9]{1,15}$ ]] || _wrong "$1: expected a whole number, found '$3'" ;;
        decimal) [[ $3 =~ ^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$ ]] || _wrong "$1: expected a number, found '$3'" ;;
    esac
    printf -v "$_name" %s "$3"
    # 08 would be an octal number in (( ))
    [[ ${_kinds[$_name]-} != whole || ! $3 =~ ^(-?)0+([0-9]+)$ ]] || printf -v "$_name" %s "${BASH_REMATCH[1]}${BASH_REMATCH[2]}"
}

_note_kinds() { # which options take numbers: those whose default is one, but for stages, which have names too
    local _each
    for _each in "${_options[@]}"; do
        [[ ! ${!_each} =~ ^-?[0-9]+$ ]] || _kinds[$_each]=whole
        [[ ! ${!_each} =~ ^-?[0-9]*\.[0-9]+$ ]] || _kinds[$_each]=decimal
    done
    unset '_kinds[stage]' '_kinds[stop_stage]'
}

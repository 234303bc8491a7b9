#!/usr/bin/env bash
# Check the form of the code: ruff (format and lint), shellcheck, direction of imports. About 10 seconds.
#   tools/dev/lint.sh
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
ASIT_EXTRAS="test"
. tools/path.sh || exit 1

failed=0
check() { # check TITLE COMMAND...
    local title=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf 'lint: %-34s ok\n' "$title"
    else
        printf 'lint: %-34s FAILED (%s)\n%s\n' "$title" "$*" "$output" && failed=1
    fi
}

files() { # every file of the project, null-separated: tracked or new in a checkout, all in an unpacked archive
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . -type f -not -path './.*' -not -path '*/exp/*' -not -path '*/data/*' -print0
    fi
}

scripts=()
while IFS= read -r -d '' file; do
    [[ -f $file ]] || continue
    case ${file##*/} in
        *.sh) scripts+=("$file") ;;
        *.*) ;;
        *) IFS= read -r first <"$file" 2>/dev/null || first=""
            [[ ! $first =~ ^#!.*(bash|/sh) ]] || scripts+=("$file") ;;
    esac
done < <(files)

check "ruff format" ruff format --no-cache --check .
check "ruff check" ruff check --no-cache .
check "shellcheck of ${#scripts[@]} scripts" shellcheck "${scripts[@]}"
check "direction of imports" lint-imports --no-cache
exit "$failed"

# shellcheck shell=bash
# Environment of every recipe: locale, threads, Python. A recipe's path.sh sources it from the recipe's directory.
# Python is an active environment that has this checkout's asit, else the project's .venv, which tools/install.sh
# makes on first use; of asit installed from a wheel the active one alone. ASIT_EXTRAS: extras that have to be there,
# such as test. In an interactive shell it never exits.
[ -n "${BASH_VERSION-}" ] || { echo "path.sh: error: it is for bash; start one first" >&2 && return 1; }
_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # recipes call make_fbank.sh and run_jobs.sh by it
tools=$_root/tools
export LC_ALL=C PYTHONUTF8=1 PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # parallel jobs share the cores; training sets its own number
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE} # spinning threads slow a busy machine down ten times
. "$_root/tools/recipe.sh"

_else="using this checkout's .venv"
[[ $_package == "$_root/asit" ]] || _else="activate the one that has ${_package%/*}"

_active_environment() { # whether the python on PATH, other than .venv's, has all that is needed
    local python module
    python=$(command -v python) && [[ $python != "$_root/.venv/"* ]] || return 1
    (cd / && "$python" - "$_package" "$_else" ${ASIT_EXTRAS:+pytest xdist hypothesis importlinter ruff}) <<'PYTHON' || return 1
import importlib.util, os, sys
found = importlib.util.find_spec("asit")
if found is None or not found.origin:
    sys.exit(1)
home = os.path.dirname(os.path.realpath(found.origin))
if home != os.path.realpath(sys.argv[1]):
    sys.exit(f"path.sh: the active environment has the asit of {os.path.dirname(home)}; {sys.argv[2]}")
missing = [name for name in ["torch", *sys.argv[3:]] if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"path.sh: the active environment lacks {', '.join(missing)}; {sys.argv[2]}")
PYTHON
    for module in "$_package"/bin/[!_]*.py; do
        module=${module##*/} && module=${module%.py}
        command -v "asit-${module//_/-}" >/dev/null || {
            echo "path.sh: the active environment lacks asit-${module//_/-} (pip install adds it); $_else" >&2
            return 1
        }
    done
}

if [[ " $* " == *" --help "* || " $* " == *" --status "* ]]; then # these install nothing
    [[ ! -x $_root/.venv/bin/asit-run-local ]] || export PATH="$_root/.venv/bin:$PATH"
elif ! _active_environment; then
    if [[ $_package == "$_root/asit" ]]; then
        "$_root/tools/install.sh" --quiet --extras "${ASIT_EXTRAS-}" &&
            export VIRTUAL_ENV="$_root/.venv" PATH="$_root/.venv/bin:$PATH"
    else
        echo "path.sh: error: the active environment is not that of this recipe's asit; $_else" >&2 && false
    fi || { [[ $- == *i* ]] && return 1 || exit 1; }
fi
# shellcheck source=/dev/null
[[ ! -f $(dirname "${BASH_SOURCE[1]:-}")/local/path.sh ]] || . "$(dirname "${BASH_SOURCE[1]:-}")/local/path.sh"

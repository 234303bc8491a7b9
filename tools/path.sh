# shellcheck shell=bash
# Environment of every recipe: locale, thread counts, Python. A recipe's own path.sh sources this file from run.sh.
_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C PYTHONUTF8=1 PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # parallel jobs share the cores; training sets its own
PATH="$_root/.venv/bin:$PATH"
. "$_root/tools/recipe.sh"

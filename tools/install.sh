#!/usr/bin/env bash
# Create or update the project's Python environment with the versions pinned in tools/constraints.txt.
#   tools/install.sh                    2-4 minutes and 1.6 GB the first time, nothing to do when it is up to date
#   tools/install.sh --extras test      with what the tests need
# Recipes and tools/test.sh call it by themselves. Without an NVIDIA GPU a CPU build of torch is installed; on a login
# node of a cluster whose other nodes have GPUs, say --torch-backend cu130 (or what `uv pip install --help` lists).
set -euo pipefail
_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$_root/tools/recipe.sh"

venv="$_root/.venv"       # folder of the environment
python=""                # Python >= 3.10 to make it with; found when empty
extras=""                # extras of setup.py, such as test or test,torchaudio
torch_backend=auto       # auto, cpu or a CUDA version such as cu130
torch_index=""           # URL of a package index that has torch, instead of the usual places
allow_cuda=true          # without a GPU, take the large CUDA build of torch if there is no CPU build
quiet=false              # say nothing when there is nothing to do
parse_options "$@"
[[ $venv == /* ]] || venv="$PWD/$venv"
marker="$venv/.asit-installed"

say() { printf 'install: %s\n' "$*" >&2; }
fail() { say "error: $*" && exit 1; }
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
pip_install() {
    if [[ -t 2 ]]; then pip install -c "$_root/tools/constraints.txt" "$@"; else pip install -q -c "$_root/tools/constraints.txt" "$@"; fi
}

wanted() { # what a complete environment has been made from
    printf 'root %s\nfiles %s\n' "$_root" "$(cat "$_root"/tools/constraints.txt "$_root"/setup.py | cksum)"
    printf 'command %s\n' "$_root"/asit/bin/[!_]*.py
}

up_to_date() { # the marker is written last: an interrupted installation has none
    local have extra
    have=$(cat "$marker" 2>/dev/null) || return 1
    [[ ${have%$'\nextras'*} == "$(wanted)" && -x $venv/bin/asit-run-local ]] || return 1
    for extra in ${extras//,/ }; do [[ ",${have##*$'\n'extras }," == *",$extra,"* ]] || return 1; done
}

find_python() {
    local candidate
    for candidate in ${python:+"$python"} ${python:-python3 python3.13 python3.12 python3.11 python3.10 python3.14}; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
        found=$candidate
        ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null || return 0
    done
    [[ -n ${found-} ]] || fail "no Python >= 3.10 found (${python:-python3, python3.10 ... python3.14}); name one with --python"
    fail "$found cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"
}

torch_version() { "$venv/bin/python" -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null; }
uv_torch() { pip_install uv && "$venv/bin/python" -m uv pip install --python "$venv/bin/python" --no-deps --torch-backend="$1" "$2"; }

install_torch() {
    local pin gpu=false have
    pin=$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' "$_root/tools/constraints.txt")
    ! nvidia-smi -L 2>/dev/null | grep -q '^GPU' || gpu=true
    [[ $torch_backend != auto ]] || { $gpu || torch_backend=cpu; }
    have=$(torch_version) || have=none
    case $have in
        "$pin"+cpu) [[ $torch_backend != cpu ]] || return 0 ;;
        "$pin" | "$pin"+*) return 0 ;;
    esac
    say "torch $pin (backend: $torch_backend), the largest part"
    if [[ -n $torch_index ]]; then
        pip_install --index-url "$torch_index" --no-deps "torch==$pin"
    elif [[ $torch_backend == cpu ]]; then
        # A wheel marked +cpu may be where pip is set up to look; else uv knows where torch publishes them.
        pip install -q --no-deps "torch==$pin+cpu" 2>/dev/null || uv_torch cpu "torch==$pin" || {
            $allow_cuda || fail "no CPU build of torch $pin is available; name an index with --torch-index"
            say "warning: no CPU build of torch $pin is available; taking the registry's default, with CUDA several GB"
            pip_install "torch==$pin"
        }
    else
        uv_torch "$torch_backend" "torch==$pin" || pip_install "torch==$pin"
    fi
}

if up_to_date; then
    $quiet || say "$venv is up to date"
    exit 0
fi
mkdir -p "$venv.lock" && exec 9>"$venv.lock/lock"
find_python
"$found" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null || {
    say "another installation into $venv is running; waiting for it"
    "$found" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
}
! up_to_date || exit 0

old=$(sed -n 's/^extras //p' "$marker" 2>/dev/null) || old=""
made_for=$(sed -n 's/^root //p' "$marker" 2>/dev/null) || made_for=""
extras=$(tr , '\n' <<<"$extras,$old" | sed '/^$/d' | sort -u | paste -sd, -)
trap 'say "interrupted; start again to continue" && exit 130' INT TERM
if torch_version >/dev/null; then say "updating $venv, less than a minute"; else
    say "making $venv with $("$found" --version 2>&1): 2-4 minutes, 1.6 GB; this happens once"
fi
if [[ ! -x $venv/bin/python || ${made_for:-$_root} != "$_root" ]] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    [[ ! -L $venv ]] || fail "$venv is a link; making the environment would empty the folder it leads to: remove the link"
    "$found" -m venv --clear "$venv"
fi
rm -f "$marker"
pip_install setuptools
install_torch
say "the other packages"
(cd "$_root" && pip_install --no-build-isolation -e ".${extras:+[$extras]}")
pip check >/dev/null || say "warning: $(pip check | head -n 3)"
{ wanted && printf 'extras %s\n' "$extras"; } >"$marker.tmp" && mv "$marker.tmp" "$marker"
say "done in $SECONDS s"

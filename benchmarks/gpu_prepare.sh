#!/usr/bin/env bash
# Download what benchmarks/gpu.sh needs beside torch and numpy, for a machine without a network: wheels for 64-bit x86
# Linux in benchmarks/gpu/wheels (ignored by git), which travel with the checkout. gpu.sh unpacks what is missing there.
#
#   benchmarks/gpu_prepare.sh                      # about 50 MB
#   benchmarks/gpu_prepare.sh --scipy-for ""       # 16 MB: the machine has scipy
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/recipe.sh
pythons="3.10 3.11 3.12" # versions of Python that the machine may have
scipy_for=3.12       # of these, the ones that get scipy, 35 MB each
sklearn_for=3.12     # and those that get scikit-learn, 9 MB each
pip="python3 -m pip" # how to call pip
parse_options "$@"
wheels=benchmarks/gpu/wheels most=60 # MB
read -r -a pip <<<"$pip"

download() { # download PYTHON PACKAGE...
    local version=$1 platform words=()
    shift
    for platform in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 manylinux1; do
        words+=(--platform "${platform}_x86_64")
    done
    "${pip[@]}" download --quiet --no-deps --only-binary=:all: --implementation cp --python-version "$version" "${words[@]}" \
        --dest "$wheels" "$@"
}
rm -rf "$wheels" && mkdir -p "$wheels"
mapfile -t packages < <(PYTHONPATH=benchmarks/gpu python3 -c 'import install; print(*install.PACKAGES, sep="\n")')
for version in $pythons; do
    small=("${packages[@]}")
    [[ $version != 3.10 ]] || small+=(exceptiongroup tomli)
    [[ " $scipy_for " != *" $version "* ]] || small+=(scipy)
    [[ " $sklearn_for " != *" $version "* ]] || small+=(scikit-learn)
    download "$version" "${small[@]}"
done
size=$(du -sm "$wheels" | cut -f1)
echo "$wheels: $(find "$wheels" -name '*.whl' | wc -l) wheels, $size MB"
((size <= most)) || { echo "gpu_prepare.sh: error: $size MB, expected at most $most; give fewer --scipy-for or --sklearn-for" >&2 && exit 1; }

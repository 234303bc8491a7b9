#!/usr/bin/env bash
# Download what benchmarks/gpu.sh needs beside torch and numpy, for a machine without a network: wheels for 64-bit x86
# Linux in benchmarks/gpu/wheels (ignored by git), which travel with the checkout. gpu.sh unpacks what is missing there.
#
#   benchmarks/gpu_prepare.sh                      # about 50 MB
#   benchmarks/gpu_prepare.sh --large ""           # 7 MB: the machine has scipy and scikit-learn
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/recipe.sh
pythons="3.10 3.11 3.12" # versions of Python that the machine may have
large="scipy scikit-learn" # of 35 and 9 MB, for the last of these only
pip="python3 -m pip" # how to call pip
parse_options "$@"
wheels=benchmarks/gpu/wheels most=60 # MB
read -r -a pip <<<"$pip"
read -r -a big <<<"$large"

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
    [[ $version != "${pythons##* }" ]] || small+=("${big[@]}")
    download "$version" "${small[@]}"
done
size=$(du -sm "$wheels" | cut -f1)
echo "$wheels: $(find "$wheels" -name '*.whl' | wc -l) wheels, $size MB"
((size <= most)) || { echo "gpu_prepare.sh: error: $size MB, expected at most $most; give fewer --pythons" >&2 && exit 1; }

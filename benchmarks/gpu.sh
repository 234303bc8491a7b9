#!/usr/bin/env bash
# Everything that has to be seen on a GPU, in at most 8 minutes: does it compute what the CPU computes, does a killed
# run end bit-equal, how fast is a step, does mini reach its accuracy, where does the time go.
#
#   benchmarks/gpu.sh                              # one GPU; needs no network, Python with torch, see gpu_prepare.sh
#   benchmarks/gpu.sh --device cpu --tiny true     # tries every part at toy sizes, about 3 minutes
#   benchmarks/gpu.sh --parts "speed kernels"
#
# Each part has its own time and writes <out>/<part>.json whatever becomes of the others; <out>/gpu.log has what they
# said. Exit code 1 when a check failed or a part did not end. benchmarks/report.py shows the tables.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/recipe.sh
device=cuda          # cuda or cpu
tiny=false           # toy sizes; the figures mean nothing
parts="agreement resume mini speed kernels" # the first three at the same time, then one after another
out=""               # folder of the results; empty: benchmarks/results/gpu, with --tiny true benchmarks/gpu/tiny
python=python3       # Python that has torch
parse_options "$@"
if [[ -z $out ]]; then $tiny && out=benchmarks/gpu/tiny || out=benchmarks/results/gpu; fi
declare -A limit=([agreement]=150 [resume]=150 [mini]=175 [speed]=255 [kernels]=45) # seconds; 175 + 255 + 45 in all
for part in $parts; do
    [[ -n ${limit[$part]-} ]] || { echo "gpu.sh: error: --parts: no part '$part'; there are ${!limit[*]}" >&2 && exit 2; }
done

mkdir -p "$out" && out=$(cd "$out" && pwd)
rm -f "$out"/*.json "$out"/*.log
site=$PWD/benchmarks/gpu/site/$("$python" -c "import sys; print('%d.%d' % sys.version_info[:2])")
export PYTHONPATH=$PWD:$site${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
"$python" benchmarks/gpu/install.py "$site" >"$out/gpu.log" 2>&1 || { cat "$out/gpu.log" >&2 && exit 1; }

run() { # run PART
    echo "gpu.sh: $1 started, at most ${limit[$1]} s"
    timeout --kill-after 5 "${limit[$1]}" "$python" "benchmarks/gpu/$1.py" --device "$device" --tiny "$tiny" \
        --out "$out" --limit "${limit[$1]}" >"$out/$1.log" 2>&1 || true # summary.py says which failed
}
for part in $parts; do
    [[ $part == speed || $part == kernels ]] || run "$part" &
done
wait
for part in $parts; do
    [[ $part != speed && $part != kernels ]] || run "$part"
done
for part in $parts; do
    { printf '\n==== %s\n' "$part" && cat "$out/$part.log" && rm "$out/$part.log"; } >>"$out/gpu.log"
done
read -r -a names <<<"$parts"
code=0
"$python" benchmarks/gpu/summary.py "$out" "${names[@]}" | tee -a "$out/gpu.log" || code=1
echo "gpu.sh: results and gpu.log are in $out"
exit "$code"

#!/usr/bin/env bash
# Install what tests/cluster starts: a Slurm and a Grid Engine, from the packages of Debian or Ubuntu. Asks nothing and
# starts no service; needs root. PBS has no packages there; its tests use stand-ins.
#   sudo tools/dev/install_cluster_packages.sh
set -euo pipefail
slurm=(slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins)
grid_engine=(gridengine-master gridengine-exec gridengine-client)

fail() { echo "${0##*/}: error: $*" >&2 && exit 1; }
[[ ${1-} != --help ]] || { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0" && exit 0; }
command -v apt-get >/dev/null || fail "no apt-get here; install Slurm (slurmctld, slurmd, munge) and Grid Engine by other means"
[[ $(id -u) == 0 ]] || fail "this needs root: sudo $0"

export DEBIAN_FRONTEND=noninteractive
refuse=/usr/sbin/policy-rc.d # while it is there and says 101, installing starts no services
if [[ ! -e $refuse ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$refuse" && chmod +x "$refuse"
    trap 'rm -f "$refuse"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${slurm[@]}" >/dev/null || fail "apt-get could not install Slurm"
if apt-cache show gridengine-master >/dev/null 2>&1; then
    if command -v debconf-set-selections >/dev/null; then
        echo "gridengine-master shared/gridengineconfig boolean false" | debconf-set-selections
    fi
    apt-get install -y -qq --no-install-recommends "${grid_engine[@]}" >/dev/null || fail "apt-get could not install Grid Engine"
else
    echo "${0##*/}: this distribution has no packages of Grid Engine; its tests will be skipped" >&2
fi

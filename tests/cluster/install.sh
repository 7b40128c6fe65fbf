#!/usr/bin/env bash
# Install what the cluster tests need: Debian's SLURM and munge, and Snakemake's SLURM executor for one Python.
# usage: sudo tests/cluster/install.sh [PYTHON=python3]
set -euo pipefail
python=${1:-python3}
root=$(cd "$(dirname "$0")/../.." && pwd)
if ! command -v slurmctld slurmd munged >/dev/null; then
    command -v apt-get >/dev/null || { echo "no apt-get here: install slurmctld, slurmd and munge by hand" >&2; exit 1; }
    [ "$(id -u)" = 0 ] || { echo "installing Debian packages needs root" >&2; exit 1; }
    export DEBIAN_FRONTEND=noninteractive
    # Without their services being started: the tests start their own daemons.
    apt-get update -qq
    RUNLEVEL=1 apt-get install -qq --no-install-recommends -y slurm-wlm munge >/dev/null
fi
"$python" -c 'import snakemake_executor_plugin_slurm' 2>/dev/null || "$python" -m pip install --quiet --editable "$root[slurm]"

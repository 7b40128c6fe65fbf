#!/usr/bin/env bash
# Stop the test cluster that tests/cluster/up.sh started, and remove its configuration.
# usage: tests/cluster/down.sh [FOLDER]
set -uo pipefail
here=${1:-${TMPDIR:-/tmp}/avzsl-slurm}
[ -d "$here" ] || exit 0
scancel --quiet --state=PENDING --state=RUNNING --user="$(id -un)" 2>/dev/null
for daemon in slurmd slurmctld munged; do
    # Only a process that still is the daemon: the number may have been given to another.
    [ -s "$here/$daemon.pid" ] || continue
    pid=$(cat "$here/$daemon.pid")
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$daemon" ] || continue
    kill "$pid"
    for ((i = 0; i < 50; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
done
if grep -qxF "# one-machine test cluster of avzsl" /etc/slurm/slurm.conf 2>/dev/null; then
    rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf
fi
rm -rf "$here"

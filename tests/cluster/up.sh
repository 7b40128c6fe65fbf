#!/usr/bin/env bash
# A SLURM cluster of one machine for tests: as root, without systemd, cgroups or an accounting database.
# usage: tests/cluster/up.sh [FOLDER]; CPUS, MEMORY (MB) and GPUS in the environment say what the node pretends to have.
# The configuration must lie in /etc/slurm: jobs drop SLURM_CONF. A configuration that is not ours is never touched.
set -euo pipefail
here=${1:-${TMPDIR:-/tmp}/avzsl-slurm}
host=$(hostname -s)
cpus=${CPUS:-8} memory=${MEMORY:-64000} gpus=${GPUS:-2}
mark="# one-machine test cluster of avzsl"

if [ -e /etc/slurm/slurm.conf ] && ! grep -qxF "$mark" /etc/slurm/slurm.conf; then
    echo "/etc/slurm/slurm.conf belongs to another cluster; the tests do not touch it" >&2
    exit 3
fi
mkdir -p "$here"/{state,spool,log} /run/munge /etc/slurm
for daemon in slurmd slurmctld munged; do
    if [ -s "$here/$daemon.pid" ] && [ "$(cat "/proc/$(cat "$here/$daemon.pid")/comm" 2>/dev/null)" = "$daemon" ]; then
        echo "a test cluster already runs in $here; stop it with tests/cluster/down.sh $here" >&2
        exit 4
    fi
done

if [ ! -s "$here/munge.key" ]; then
    (umask 077 && head -c 1024 /dev/urandom >"$here/munge.key")
fi
# --force: munge wants folders that only its own user can write to, which a folder for tests is not.
munged --force --key-file="$here/munge.key" --socket=/run/munge/munge.socket.2 --pid-file="$here/munged.pid" \
    --log-file="$here/log/munged.log" --seed-file="$here/munge.seed" 2>>"$here/log/munged.err"

# SLURM hands out GPUs as character devices; these stand for /dev/null.
gres=""
for ((i = 0; i < gpus; i++)); do
    [ -e "$here/gpu$i" ] || mknod "$here/gpu$i" c 1 3
done
if ((gpus > 0)); then
    echo "NodeName=$host Name=gpu File=$here/gpu[0-$((gpus - 1))]" >/etc/slurm/gres.conf
    gres="Gres=gpu:$gpus"
else
    : >/etc/slurm/gres.conf
fi
cat >/etc/slurm/slurm.conf <<CONF
$mark
ClusterName=avzsl
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
SlurmctldLogFile=$here/log/slurmctld.log
SlurmdLogFile=$here/log/slurmd.log
# The node may announce more CPUs than the machine has.
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# No cgroups: memory is watched by polling, and a job over its request is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=0,bf_interval=1
GresTypes=gpu
MpiDefault=none
ReturnToService=2
KillWait=3
OverTimeLimit=0
# Finished jobs stay visible this long: to the plug-in, which asks for three of its polls, and to the tests.
MinJobAge=3600
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=$memory $gres State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=24:00:00 State=UP
PartitionName=gpu Nodes=$host MaxTime=24:00:00 State=UP
CONF

slurmctld -c
slurmd -N "$host"
for ((i = 0; i < 100; i++)); do
    if [ "$(sinfo -h -o %t 2>/dev/null | head -1)" = idle ]; then
        sinfo -N -o "%N %P %t %c %m %G"
        exit 0
    fi
    sleep 0.2
done
echo "the test cluster did not come up; see $here/log" >&2
tail -5 "$here"/log/*.log >&2
exit 1

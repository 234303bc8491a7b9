"""A real Slurm on this machine: munge, a controller and two virtual nodes of two cores, none of them as a service."""

from __future__ import annotations

import getpass
import os
import secrets
import signal
import socket
import subprocess
from pathlib import Path

from daemons import Daemons, free_ports, kill, missing, wait_until, with_variable

COMMANDS = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel"]
PACKAGES = "slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins"

CONF = """
ClusterName=asit
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={home}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool.%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=3600
JobRequeue=1
SlurmctldTimeout=30
SlurmdTimeout=8
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 CoresPerSocket=2 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 CoresPerSocket=2 RealMemory=8000
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """``environment`` is for commands that talk to it."""

    def __init__(self, home: Path) -> None:
        self.home, self.conf = home, home / "slurm.conf"
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        self.environment = {**os.environ, "PATH": path, "SLURM_CONF": str(self.conf)}
        self.daemons = Daemons(home, self.environment)

    def start(self) -> None:
        """Bring it up; both nodes are idle afterwards."""
        for name in ("munge", "state", "spool.n1", "spool.n2"):
            (self.home / name).mkdir(mode=0o755)
        munge = self.home / "munge"
        (munge / "key").write_bytes(secrets.token_bytes(128))
        (munge / "key").chmod(0o400)
        munge.chmod(0o700)
        facts = {"home": self.home, "user": getpass.getuser(), "ports": free_ports(3)}
        self.conf.write_text(CONF.format(host=socket.gethostname().partition(".")[0], **facts))
        self.daemons.start(
            "munged",
            "munged",
            "--foreground",
            "--force",
            *(f"--{option}={munge}/{file}" for option, file in (("key-file", "key"), ("socket", "socket"))),
            *(f"--{option}={munge}/{file}" for option, file in (("pid-file", "pid"), ("seed-file", "seed"))),
            "--num-threads=2",
        )
        wait_until((munge / "socket").exists, "munged's socket", 20)
        self.daemons.start("slurmctld", "slurmctld", "-D", "-f", self.conf)
        self.start_node("n1")
        self.start_node("n2")
        wait_until(lambda: self.daemons.check() or self.node_states() == {"n1": "idle", "n2": "idle"}, "idle nodes")

    def start_node(self, name: str) -> None:
        """Bring a node up."""
        self.daemons.start(
            f"slurmd.{name}", "slurmd", "-D", "-N", name, "-f", self.conf, ASIT_TEST_NODE=self.mark(name)
        )

    def mark(self, name: str) -> str:
        """Value of ASIT_TEST_NODE in the daemons of a node, also in those that it has started for jobs."""
        return f"{self.home}/{name}"

    def kill_node(self, name: str) -> None:
        """A node stops answering: its daemons are gone; the jobs' processes there live on as orphans."""
        self.daemons.end(f"slurmd.{name}", signal.SIGKILL)
        kill(with_variable("ASIT_TEST_NODE", self.mark(name)))

    def node_states(self) -> dict[str, str]:
        """State by node."""
        lines = self.ask("sinfo", "-h", "-N", "-o", "%N %t").splitlines()
        return dict(line.split() for line in lines if len(line.split()) == 2)

    def ask(self, *words: str) -> str:
        """Output of a command of Slurm's; empty when it fails."""
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False).stdout

    def job_states(self) -> dict[str, str]:
        """State by job of all that the controller remembers."""
        lines = self.ask("squeue", "-h", "-r", "-t", "all", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_idle(self) -> None:
        """Wait until nothing runs and both nodes can be used."""
        wait_until(lambda: self.node_states() == {"n1": "idle", "n2": "idle"}, f"idle nodes: {self.node_states()}")

    def stop(self) -> None:
        """Cancel everything and take it down."""
        self.ask("scancel", "--user", getpass.getuser())
        self.daemons.stop()


def reason_to_skip() -> str:
    """Why it cannot be brought up here; empty when it can."""
    absent = missing(COMMANDS)
    if absent:
        how = f"tools/dev/install_cluster_packages.sh, or apt-get install {PACKAGES}"
        return f"no Slurm here ({', '.join(absent)}): {how}"
    return ""

"""A real Grid Engine on this machine: one host that is master and runs jobs, in a folder of its own."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from daemons import Daemons, free_ports, missing, wait_until

PACKAGES = "gridengine-master gridengine-exec gridengine-client"
HOME = Path("/usr/lib/gridengine")  # of Debian's packages: the programs themselves, without wrappers
SHARE = Path("/usr/share/gridengine")

BOOTSTRAP = """
admin_user none
default_domain none
ignore_fqdn false
spooling_method berkeleydb
spooling_lib libspoolb
spooling_params {root}/spool/db
binary_path /usr/sbin
qmaster_spool_dir {root}/spool/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
HOST = """
hostname {host}
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
PARALLEL = """
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""
LIMITS = "".join(
    f"{kind}_{what} INFINITY\n"
    for kind in "sh"
    for what in ["rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem"]
)
QUEUE = """
qname all.q
hostlist {host}
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH
ckpt_list NONE
pe_list smp
rerun TRUE
slots 4
tmpdir /tmp
shell /bin/bash
prolog NONE
epilog NONE
shell_start_mode unix_behavior
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:05
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
{limits}"""
CHANGED = {  # of the packages' configuration: short intervals, root may run jobs
    "execd_spool_dir": "{root}/spool/execd",
    "min_uid": "0",
    "min_gid": "0",
    "load_report_time": "00:00:01",
    "reporting_params": "accounting=true reporting=false flush_time=00:00:01 joblog=false sharelog=00:00:00",
}
SCHEDULER = {"schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1"}


def edited(text: str, values: dict[str, str]) -> str:
    """``name value`` lines with other values."""
    lines = []
    for line in text.splitlines():
        name = line.split(" ")[0].split("\t")[0]
        lines.append(f"{name} {values[name]}" if name in values else line)
    return "\n".join(lines) + "\n"


class GridEngineCluster:
    """``environment`` is for commands that talk to it."""

    def __init__(self, home: Path) -> None:
        self.root, self.host = home, socket.gethostname()
        ports = free_ports(2)
        self.environment = {
            **os.environ,
            "PATH": f"{HOME}:{os.environ['PATH']}",
            "SGE_ROOT": str(home),
            "SGE_CELL": "default",
            "SGE_QMASTER_PORT": str(ports[0]),
            "SGE_EXECD_PORT": str(ports[1]),
            "SGE_ND": "1",  # daemons stay in the foreground
        }
        self.daemons = Daemons(home, self.environment)

    def start(self) -> None:
        """Bring it up; its queue takes jobs afterwards."""
        common = self.root / "default/common"
        for folder in (common, *(self.root / "spool" / name for name in ("db", "qmaster", "execd"))):
            folder.mkdir(parents=True)
        for name in ("bin", "utilbin", "lib", "util"):
            (self.root / name).symlink_to(f"/var/lib/gridengine/{name}")
        (common / "bootstrap").write_text(BOOTSTRAP.format(root=self.root).lstrip())
        (common / "act_qmaster").write_text(f"{self.host}\n")
        (common / "host_aliases").write_text(f"{self.host} localhost\n")
        conf = {name: value.format(root=self.root) for name, value in CHANGED.items()}
        self._write("conf", edited((SHARE / "default-configuration").read_text(), conf))
        self.ask(HOME / "spoolinit", "berkeleydb", "libspoolb", self.root / "spool/db", "init")
        for what in (
            ("configuration", self.root / "conf"),
            ("complexes", SHARE / "util/resources/centry"),
            ("usersets", SHARE / "util/resources/usersets"),
            ("managers", "root"),
        ):
            self.ask(HOME / "spooldefaults", *what)
        self.daemons.start("sge_qmaster", HOME / "sge_qmaster")
        wait_until(lambda: self.daemons.check() or self.host in self.ask("qconf", "-sh", code=None), "the master")
        self.ask("qconf", "-as", self.host)
        for option, name, text in (("-Ae", "host", HOST), ("-Ap", "pe", PARALLEL), ("-Aq", "queue", QUEUE)):
            self._write(name, text.format(host=self.host, limits=LIMITS).lstrip())
            self.ask("qconf", option, self.root / name)
        self._write("sched", edited(self.ask("qconf", "-ssconf"), SCHEDULER))
        self.ask("qconf", "-Msconf", self.root / "sched")
        self.daemons.start("sge_execd", HOME / "sge_execd")
        wait_until(lambda: self.daemons.check() or self._takes_jobs(), "a queue that takes jobs")

    def _takes_jobs(self) -> bool:
        lines = [line.split() for line in self.ask("qstat", "-f", code=None).splitlines() if line.startswith("all.q@")]
        return bool(lines) and len(lines[0]) == 5 and lines[0][3] != "-NA-"  # a sixth column holds troubles

    def _write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def ask(self, *words: object, code: int | None = 0) -> str:
        """Output of a command; ``code`` None: whatever its exit code."""
        done = subprocess.run(
            [str(w) for w in words], env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert code is None or done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout

    def stop(self) -> None:
        """Delete all jobs and take it down."""
        if self.daemons.running:
            self.ask("qdel", "-u", "*", code=None)
        self.daemons.stop()


def reason_to_skip() -> str:
    """Why it cannot be brought up here; empty when it can."""
    absent = missing(["qsub", "qconf", "qstat", "sge_qmaster"]) + (
        [] if (HOME / "sge_execd").exists() else ["sge_execd"]
    )
    how = f"tools/dev/install_cluster_packages.sh, or apt-get install {PACKAGES}"
    if absent:
        return f"no Grid Engine here ({', '.join(absent)}): {how}"
    if os.getuid() != 0:
        return "Grid Engine's daemons are started only as root: run pytest as root"
    return ""

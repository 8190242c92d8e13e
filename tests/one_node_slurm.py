"""A real SLURM of one node, in a folder of its own, gone when the block ends.

`python tests/one_node_slurm.py COMMAND...` runs a command in it. It needs Debian's
packages slurmctld, slurmd, slurm-client and munge, and root, as which slurmd
starts jobs. No file outside the folder is written, no daemon of the system is used.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

# Partitions over the same node; a job in `urgent` puts those of the others back into
# the queue. No accounting: what submitit asks of sacct fails, as on small clusters.
CONFIG = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MinJobAge=300
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=free Nodes={host} Default=YES PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=grace Nodes={host} PriorityTier=1 GraceTime=10 State=UP
PartitionName=urgent Nodes={host} PriorityTier=9 PreemptMode=OFF State=UP
"""


ASKED = "CALIBENCH_TEST_SLURM"


def hindrance() -> str:
    """Return why none is started here; empty where one is.

    Only where it is asked for: it takes minutes, and starts daemons as root.
    """
    if os.environ.get(ASKED) != "1":
        return f"{ASKED}=1 starts a SLURM of one node, for some minutes"
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"a SLURM of one node needs {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "slurmd starts jobs as root only"


@contextlib.contextmanager
def one_node_slurm(folder: Path, cpus: int = 2) -> Iterator[dict[str, str]]:
    """Start it, and yield the environment in which its commands find it."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # munge's socket must be in reach of every user
    config = folder / "slurm.conf"
    control_port, node_port = free_ports(2)
    config.write_text(
        CONFIG.format(
            host=socket.gethostname().split(".")[0],
            folder=folder,
            cpus=cpus,
            control_port=control_port,
            node_port=node_port,
        )
    )
    environment = os.environ | {"SLURM_CONF": str(config)}
    with contextlib.ExitStack() as daemons:
        for command in commands(folder, config):
            daemons.enter_context(daemon(command, folder, environment))
        wait_until_idle(folder, environment)
        try:
            yield environment
        finally:
            # Daemons that stop leave jobs running.
            cancel = ["scancel", "--user=root"]
            subprocess.run(cancel, env=environment, check=False, timeout=30)
            wait_until_idle(folder, environment)


def commands(folder: Path, config: Path) -> Iterator[list[str]]:
    """Yield the daemons in the order in which they start."""
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    munged = ["munged", "--foreground", "--force", f"--key-file={key}"]
    files = {"socket": "socket", "pid-file": "pid", "log-file": "log"}
    files |= {"seed-file": "seed"}
    munged += [f"--{option}={folder}/munge.{end}" for option, end in files.items()]
    yield munged
    yield ["slurmctld", "-D", "-f", str(config)]
    yield ["slurmd", "-D", "-f", str(config)]


@contextlib.contextmanager
def daemon(
    command: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[None]:
    """Run a daemon in the foreground, and stop it after."""
    with (folder / f"{command[0]}.out").open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    if command[0] == "munged":
        wait_for((folder / "munge.socket").exists, folder)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_idle(folder: Path, environment: dict[str, str]) -> None:
    """Wait for a node that is up and has no job."""

    def is_idle() -> bool:
        command = ["sinfo", "--noheader", "--format=%T", "--partition=free"]
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        return found.stdout.split() == ["idle"]

    wait_for(is_idle, folder)


def wait_for(is_so, folder: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            logs = {
                path.name: path.read_text()[-2000:] for path in folder.glob("*.log")
            }
            message = f"the daemons did not get so far in {seconds:g} s: {logs}"
            raise AssertionError(message)
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    reason = hindrance()
    if reason:
        sys.exit(reason)
    with (
        tempfile.TemporaryDirectory() as name,
        one_node_slurm(Path(name), os.cpu_count() or 1) as found,
    ):
        sys.exit(subprocess.run(sys.argv[1:], env=found, check=False).returncode)

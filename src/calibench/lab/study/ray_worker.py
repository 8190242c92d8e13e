"""What a Ray worker does: look at its node, and carry out runs in processes of its own.

Nothing here loads torch: the fork server of the worker does, once for all its runs.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from calibench.errors import LockedError
from calibench.lab.store.lock import owned
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.run_process import RunProcess
from calibench.lab.study.shipped_code import ShippedCode
from calibench.lab.study.software import software

PROBE = ".lock-probe"  # held by the driver while nodes are looked at
_GRACE_SECONDS = 3.5  # from the request to stop until a run's process is killed
_POLL_SECONDS = 0.1
_LATE_SECONDS = 5.0  # for which a network file system may show an older folder
# Set by Ray for each task, after the fork server has begun.
_DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class Site:
    """What all workers of a launch are told.

    Attributes:
        store: Path of the store, the same on every node.
        study: SHA-256 of its study.json.
        conditions: For every run.
        software: Of the driver, as `software` returns it; empty where any will do.
        code: The user's own modules.
    """

    store: Path
    study: str
    conditions: Conditions
    software: Mapping[str, str]
    code: ShippedCode


@dataclass(frozen=True)
class RunEnd:
    """How the process of a run ended.

    Attributes:
        exit_code: As the command line gives it; negative for a signal.
        node: Where.
        problem: Why the node can carry out no run at all, where it cannot.
    """

    exit_code: int
    node: str
    problem: str = ""


def carry_out(run_id: str, site: Site) -> RunEnd:
    """Be a Ray task: carry out a run in a process forked for it, and wait."""
    node = os.uname().nodename
    problem = node_problem(node, site)
    if problem:
        return RunEnd(4, node, problem)
    site.code.made_importable()
    given = {_DEVICES: os.environ[_DEVICES]} if _DEVICES in os.environ else {}
    process: RunProcess | None = None
    try:
        process = RunProcess.started(site.store, run_id, site.conditions, given)
        # In short waits: a request to stop is heard between two.
        while process.exit_code is None:
            process.process.join(_POLL_SECONDS)
    except KeyboardInterrupt:
        code = 75 if process is None else _stopped(process)
    else:
        code = process.exit_code
    finally:
        if process is not None:
            _stopped(process)
    return RunEnd(code, node)


def node_problem(node: str, site: Site) -> str:
    """Return why this node can carry out no run of the launch; empty where it can."""
    found = _seen(site)
    if found:
        return (
            f"node {node} does not see the store {site.store} ({found}). Put it on a "
            "file system that all nodes mount at the same path."
        )
    here = software() if site.software else {}
    changes = [
        f"{name} {site.software[name]} here, {here[name]} there"
        for name in here
        if here[name] != site.software[name]
    ]
    if changes:
        return (
            f"node {node} has other software ({'; '.join(changes)}), and runs would "
            "not end in the same bits. Install the same there, or give --allow-drift."
        )
    return ""


def node_problem_at_start(node: str, site: Site) -> str:
    """Return the same, with a look at locks, while the driver holds the probe's."""
    problem = node_problem(node, site)
    if problem:
        return problem
    try:
        with owned(site.store / PROBE, patience=0):
            return (
                f"node {node} gets a lock at {site.store} that another node holds. "
                "Mount the file system so that flock holds between nodes."
            )
    except LockedError:
        return ""
    except OSError as error:
        return f"node {node} cannot write to the store {site.store} ({error})."


def _seen(site: Site) -> str:
    """Return what is wrong with the store here; a node may see a new file late."""
    problem, deadline = "", time.monotonic() + _LATE_SECONDS
    while True:
        try:
            found = sha256((site.store / "study.json").read_bytes()).hexdigest()
            problem = "" if found == site.study else "another study is there"
        except OSError as error:
            problem = error.strerror or str(error)
        if not problem or time.monotonic() > deadline:
            return problem
        time.sleep(_POLL_SECONDS)


def _stopped(process: RunProcess) -> int:
    """Ask a process to stop, and kill one that does not; return its exit code."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while process.exit_code is None:
        process.ask_to_stop(kill=time.monotonic() > deadline)
        process.process.join(_POLL_SECONDS)
    return process.exit_code

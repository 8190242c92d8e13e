"""Carry out runs as tasks of a Ray cluster."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import torch

from calibench.errors import LockedError, ParameterError, ResourceError
from calibench.lab import ray_tasks
from calibench.lab.durable import make_folder
from calibench.lab.ray_tasks import Ended, Tasks
from calibench.lab.store import Store
from calibench.lab.store.lock import owned
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.events import Event
from calibench.lab.study.ray_worker import (
    PROBE,
    RunEnd,
    Site,
    carry_out,
    node_problem_at_start,
)
from calibench.lab.study.run_watch import RunWatch
from calibench.lab.study.shipped_code import ShippedCode
from calibench.lab.study.software import software

MOST_LOSSES = 3  # of workers, one after the other, with no epoch finished between
_POLL_SECONDS = 0.2
_POLL_SECONDS_PER_RUN = 0.002  # a network file system takes about that to look
_GRACE_SECONDS = 4.2  # from the request to stop until workers are left to themselves
_NODE_SECONDS = 120.0  # in which a node must answer


@dataclass(frozen=True)
class RayRuns:
    """Tasks of the cluster that this process is connected to.

    Attributes:
        workers: Most runs at a time; unless given as many as the cluster has room for.
        gpus_per_run: What a run on a GPU takes of one; a fraction shares it.
    """

    workers: int | None = None
    gpus_per_run: float = 1.0

    def device(self, name: str) -> torch.device:
        has_gpu = ray_tasks.num_gpus() > 0
        if name == "cuda" and not has_gpu:
            msg = (
                "device 'cuda' was asked for, and no node of the Ray cluster has a "
                "GPU. Start one with a GPU, or use --device cpu."
            )
            raise ParameterError(msg)
        return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")

    def launch(
        self,
        store: Store,
        run_ids: Sequence[str],
        conditions: Conditions,
        *,
        is_stopping: Callable[[], bool],
    ) -> Iterator[Event]:
        if not run_ids:
            return
        site = _site(store, conditions)
        _check_nodes(site)
        cores = conditions.ranks  # one for each process of a run
        gpus = cores * self.gpus_per_run if conditions.device == "cuda" else 0.0
        gpus = math.ceil(gpus) if gpus > 1 else gpus  # Ray gives parts of one alone
        if not self._room(cores, gpus):
            msg = (
                "Ray: no node of the cluster has a core to train on, and a GPU if one "
                "is needed. Start one; or give --workers if nodes come on demand."
            )
            raise ResourceError(msg)
        grid = _Grid(
            store=store,
            tasks=Tasks(carry_out, site, cpus=cores, gpus=gpus),
            room=lambda: self._room(cores, gpus),
            waiting=deque(run_ids),
        )
        while grid.waiting or grid.active:
            if not is_stopping():
                grid.fill()
            elif grid.has_stopped():
                # Workers whose driver is gone stop by themselves.
                yield from (run.watch.interrupted() for run in grid.active.values())
                return
            yield from grid.news(is_stopping=is_stopping())

    def _room(self, cores: int, gpus: float) -> int:
        return self.workers or ray_tasks.most_at_once(cores, gpus)


@dataclass(kw_only=True)
class _Grid:
    """Runs that wait, and runs that tasks were begun for."""

    store: Store
    tasks: Tasks
    room: Callable[[], int]
    waiting: deque[str]
    active: dict[str, "_Run"] = field(default_factory=dict)
    stop_deadline: float | None = None

    def fill(self) -> None:
        """Begin as many runs as there is room for."""
        for _ in range(self.room() - len(self.active)):
            if self.waiting:
                run_id = self.waiting.popleft()
                self.active[run_id] = _Run.begun(self.store, run_id, self.tasks)

    def has_stopped(self) -> bool:
        """Ask all to stop, once; return whether their time is up."""
        self.waiting.clear()
        if self.stop_deadline is None:
            self.stop_deadline = time.monotonic() + _GRACE_SECONDS
            self.tasks.ask_to_stop()
        return time.monotonic() > self.stop_deadline

    def news(self, *, is_stopping: bool) -> Iterator[Event]:
        """Wait a moment, and yield what happened."""
        pause = max(_POLL_SECONDS, _POLL_SECONDS_PER_RUN * len(self.active))
        over = list(self.tasks.ended(timeout=pause))
        for run in self.active.values():
            yield from run.news()
        for ended in over:
            event = self.active[ended.key].after(
                ended, self.tasks, is_stopping=is_stopping
            )
            if event.kind == "ended":
                del self.active[ended.key]
            yield event


@dataclass
class _Run:
    """A run that a task was begun for, and how often one was lost.

    Attributes:
        losses: Of workers since the last epoch that was finished.
        owner: Who had the run before the task, for who has it is told by the lock.
    """

    watch: RunWatch
    owner: str
    losses: int = 0
    has_started: bool = field(default=False)

    @classmethod
    def begun(cls, store: Store, run_id: str, tasks: Tasks) -> "_Run":
        folder = store.run(run_id)
        folder.forget_failure()
        run = cls(RunWatch.of(store, run_id), folder.last_owner())
        tasks.begin(run_id)
        return run

    def news(self) -> Iterator[Event]:
        """Yield that it started, and epochs that were committed."""
        store, run_id = self.watch.store, self.watch.run_id
        if not self.has_started and store.run(run_id).last_owner() != self.owner:
            self.has_started = True
            yield Event("started", run_id)
        if self.has_started:
            for event in self.watch.new_epochs():
                self.losses = 0
                yield event

    def after(self, ended: Ended, tasks: Tasks, *, is_stopping: bool) -> Event:
        """Say how it ended; or, where its worker was lost, that it is begun again."""
        end: RunEnd | None = ended.result
        if end is not None and end.problem:
            raise ResourceError(_sentence(end.problem))
        lost = ended.lost or _loss(end)
        if is_stopping and (lost or end is None):
            return self.watch.interrupted()
        if end is not None and not lost:
            event = self.watch.ending(end.exit_code)
            failed = event.outcome == "failed" and event.reason
            where = f" (on node {end.node})"
            return replace(event, reason=event.reason + where) if failed else event
        self.losses += 1
        if self.losses <= MOST_LOSSES:
            tasks.begin(self.watch.run_id)
            return Event("lost", self.watch.run_id, reason=lost)
        reason = (
            f"its worker was lost {self.losses} times without finishing an epoch; "
            f"the last time: {lost}"
        )
        with suppress(OSError):  # the terminal has the reason, whatever the disk says
            folder = self.watch.store.run(self.watch.run_id)
            make_folder(folder.path)  # where no worker came as far as that
            folder.note_failure(reason)
        code = LockedError.exit_code if _is_locked(end) else 1
        return self.watch.failed(code, reason)


def _site(store: Store, conditions: Conditions) -> Site:
    path = store.path.absolute()
    here = Path.cwd()
    return Site(
        store=path,
        study=sha256((path / "study.json").read_bytes()).hexdigest(),
        conditions=replace(conditions, data=conditions.data.absolute()),
        software={} if conditions.allow_drift else software(),
        code=ShippedCode.of(here) if conditions.allow_code else ShippedCode(here),
    )


def _check_nodes(site: Site) -> None:
    """Refuse to begin where a node could carry out no run.

    Raises:
        ResourceError: A node does not see the store, has other software, ...
    """
    probe = site.store / PROBE
    try:
        with owned(probe):
            problems = ray_tasks.on_every_node(
                node_problem_at_start, site, timeout=_NODE_SECONDS
            )
    finally:
        probe.unlink(missing_ok=True)
    found = sorted({problem for problem in problems if problem})
    if found:
        raise ResourceError(_sentence("\n".join(found)))


def _loss(end: RunEnd | None) -> str:
    """Return why a task that came to its end has to be begun again, if it has."""
    if end is not None and end.exit_code < 0:
        return f"its process was killed by signal {-end.exit_code} on node {end.node}"
    if _is_locked(end):
        return "another process is at work on it"
    return ""


def _is_locked(end: RunEnd | None) -> bool:
    return end is not None and end.exit_code == LockedError.exit_code


def _sentence(text: str) -> str:
    return f"Ray: {text}"

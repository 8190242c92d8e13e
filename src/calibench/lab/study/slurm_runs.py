"""Carry out runs as jobs of a SLURM cluster."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from calibench.errors import IntegrityError, ResourceError
from calibench.lab.store import Store
from calibench.lab.store.lock import owned
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.events import Event
from calibench.lab.study.run_watch import RunWatch
from calibench.lab.study.slurm_notes import Notes, Runs, Submission
from calibench.lab.study.slurm_queue import Queue
from calibench.lab.study.slurm_task import SlurmTask
from calibench.validation import member

_POLL_SECONDS = 1.0
_ASK_SECONDS = 5.0  # between two questions to the controller, which serves many
_MOST_TASKS = 1000  # of an array: SLURM's default limit is 1,001
_OVER = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT", "GONE"),
    }
)


@dataclass(frozen=True)
class SlurmRuns:
    """Jobs of a cluster, a job for each run; beyond 1,000 runs some share a job.

    Jobs belong to the queue: they go on when this process ends, and are followed
    again by the next that is started on the same store.

    Attributes:
        queue: Where jobs are submitted.
        workers: Jobs at a time; as many as the cluster gives unless given.
        has_gpu: Whether a job has one.
    """

    queue: Queue
    workers: int | None = None
    has_gpu: bool = False

    def device(self, name: str) -> torch.device:
        # A GPU is on the node, and perhaps none is here.
        member(name, ("auto", "cpu", "cuda"), "device")
        if name == "auto":
            return torch.device("cuda" if self.has_gpu else "cpu")
        return torch.device(name)

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
        # An owner who was killed leaves no lock; another who lives would submit, too.
        with owned(_folder(store) / "lock", patience=0):
            jobs = _Jobs.of(self, store, conditions)
            jobs.follow(self._noted(jobs.notes), run_ids)
            left = [run_id for run_id in run_ids if run_id not in jobs.watches]
            if left and not is_stopping():
                jobs.submit(left)
            yield from jobs.events(is_stopping)

    def _noted(self, notes: Notes) -> list[Submission]:
        """Return the submissions of earlier drivers of which SLURM still has a job."""
        states = self.queue.states()
        kept = []
        for each in notes.read():
            job = each.job or self.queue.found(each.name)
            if job is None:
                continue  # its driver died before it was submitted
            known = each if each.job else notes.set_job(each, job)
            if any(states.get(i, "GONE") not in _OVER for i, _ in known.by_id()):
                kept.append(known)
        notes.write(kept)
        return kept


@dataclass
class _Jobs:
    """The jobs of one store that a driver follows."""

    engine: SlurmRuns
    store: Store
    conditions: Conditions
    notes: Notes
    # The runs of each job that have not ended, by the job's id.
    left: dict[str, list[str]] = field(default_factory=dict)
    watches: dict[str, RunWatch] = field(default_factory=dict)
    first_epochs: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, engine: SlurmRuns, store: Store, conditions: Conditions) -> "_Jobs":
        # A job has another working folder.
        there = Store(store.path.resolve())
        return cls(engine, there, conditions, Notes(_folder(there) / "jobs.json"))

    def submit(self, run_ids: Sequence[str]) -> None:
        """Put runs into the queue, the first first."""
        self._watch(run_ids)
        number = min(len(run_ids), _MOST_TASKS)
        groups: list[Runs] = [tuple(run_ids[i::number]) for i in range(number)]
        planned = Submission.planned(groups)
        self.notes.add(planned)
        tasks = [SlurmTask(self.store.path, g, self.conditions) for g in groups]
        job = self.engine.queue.submit(
            _folder(self.store), planned.name, tasks, self.engine.workers
        )
        for task_id, runs in self.notes.set_job(planned, job).by_id():
            self.left[task_id] = list(runs)

    def follow(self, submissions: Sequence[Submission], run_ids: Sequence[str]) -> None:
        """Watch those of some runs that were submitted before, each in one job."""
        for submission in submissions:
            for task_id, runs in submission.by_id():
                mine = [r for r in runs if r in run_ids and r not in self.watches]
                self._watch(mine)
                if mine:
                    self.left[task_id] = mine

    def _watch(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            # The size first: an epoch in between is then seen as new, or was seen.
            self.sizes[run_id] = self._size(run_id)
            self.watches[run_id] = RunWatch.of(self.store, run_id)
            self.first_epochs[run_id] = self.watches[run_id].seen_epoch

    def events(self, is_stopping: Callable[[], bool]) -> Iterator[Event]:
        """Yield what happens until every run has ended, or this process is to."""
        states: dict[str, str] = {}
        asked = -_ASK_SECONDS
        while self.left:
            if is_stopping():
                yield from self._leave()
                return
            if time.monotonic() >= asked + _ASK_SECONDS:
                states, asked = self._states(states), time.monotonic()
            again: list[str] = []
            for task_id in list(self.left):
                yield from self._progress(task_id)
                # One that was submitted since the last question is not among them.
                if states.get(task_id) in _OVER:
                    yield from self._endings(task_id, states, again)
            if again:
                self.submit(again)
            time.sleep(_POLL_SECONDS)

    def _states(self, before: dict[str, str]) -> dict[str, str]:
        """Ask how the jobs are; what was true before stands where nobody answers."""
        try:
            found = self.engine.queue.states()
        except ResourceError:
            return before
        return {task_id: found.get(task_id, "GONE") for task_id in self.left}

    def _progress(self, task_id: str) -> Iterator[Event]:
        """Yield what the journals of a job's runs say that is new."""
        for run_id in list(self.left[task_id]):
            size = self._size(run_id)
            if size == self.sizes[run_id]:
                continue  # reading a long journal costs more than asking for its size
            self.sizes[run_id] = size
            if run_id not in self.begun:
                self.begun.add(run_id)
                yield Event("started", run_id)
            yield from self.watches[run_id].new_epochs()
            if self._is_over(run_id):
                self.left[task_id].remove(run_id)
                yield self.watches[run_id].ending(0)

    def _endings(
        self, task_id: str, states: dict[str, str], again: list[str]
    ) -> Iterator[Event]:
        """Yield how the runs of a job ended that is over, or put them on `again`."""
        yield from self._progress(task_id)
        state = states[task_id]
        codes = self.engine.queue.codes(_folder(self.store), task_id)
        for run_id in self.left.pop(task_id):
            watch = self.watches[run_id]
            if run_id in codes or self._is_over(run_id):
                yield from self._ended(run_id, watch.ending(codes.get(run_id, 0)))
            elif state == "CANCELLED":
                yield from self._ended(run_id, watch.interrupted())
            elif watch.seen_epoch > self.first_epochs[run_id]:
                again.append(run_id)
            else:
                reason = (
                    f"its job {task_id} ended ({state.lower()}) without one epoch: see "
                    f"{_folder(self.store)}/{task_id}_0_log.err."
                )
                yield from self._ended(run_id, watch.failed(1, reason))

    def _leave(self) -> Iterator[Event]:
        """Say which jobs go on without this process."""
        for task_id, runs in self.left.items():
            for run_id in runs:
                reason = f"its job {task_id} goes on; scancel {task_id} ends it"
                event = Event("ended", run_id, 0, "interrupted", 75, reason)
                yield from self._ended(run_id, event)

    def _ended(self, run_id: str, event: Event) -> Iterator[Event]:
        if run_id not in self.begun:
            yield Event("started", run_id)
        yield event

    def _size(self, run_id: str) -> int:
        journal = self.store.run(run_id).journal.path
        return journal.stat().st_size if journal.exists() else 0

    def _is_over(self, run_id: str) -> bool:
        try:
            return self.store.run(run_id).history().is_over
        except IntegrityError:
            return False  # its worker finds the same, and says so


def _folder(store: Store) -> Path:
    """Return the folder of jobs and what they say, apart from the results."""
    return store.path / "slurm"

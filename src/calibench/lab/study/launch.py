"""Run a study's runs on this machine, each in a process of its own."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from calibench.errors import (
    CalibenchError,
    IntegrityError,
    InterruptedRunError,
    LockedError,
    ResourceError,
    system_refusal,
)
from calibench.lab.store import Store
from calibench.lab.study.execute import execute
from calibench.lab.study.prepared_run import Conditions
from calibench.lab.study.stop_request import StopRequest

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 4.0  # from the request to stop until a worker is killed


@dataclass(frozen=True)
class Event:
    """Something that happened to a run: it "started", ended an "epoch", or "ended".

    Attributes:
        outcome: Of an ended run: "finished", "diverged", "interrupted" or "failed".
        exit_code: Of an ended run, as the command line gives it.
        reason: Why it did not finish, where it did not.
    """

    kind: str
    run_id: str
    epoch: int = 0
    outcome: str = ""
    exit_code: int = 0
    reason: str = ""


def launch(
    store: Store,
    run_ids: Sequence[str],
    conditions: Conditions,
    *,
    workers: int,
    is_stopping: Callable[[], bool],
) -> Iterator[Event]:
    """Carry out runs, `workers` at a time, and yield what happens to each.

    One failing run does not stop the others. Once `is_stopping` turns true no run is
    begun, and those under way are asked to stop.
    """
    context = _process_context()
    waiting = list(run_ids)
    active: dict[str, _Worker] = {}
    stop_deadline: float | None = None
    while waiting or active:
        while waiting and len(active) < workers and not is_stopping():
            run_id = waiting.pop(0)
            active[run_id] = _Worker.started(context, store, run_id, conditions)
            yield Event("started", run_id)
        if is_stopping():
            waiting.clear()
            if stop_deadline is None:
                stop_deadline = time.monotonic() + _GRACE_SECONDS
            for worker in active.values():
                worker.ask_to_stop(kill=time.monotonic() > stop_deadline)
        wait([w.process.sentinel for w in active.values()], timeout=_POLL_SECONDS)
        for run_id, worker in list(active.items()):
            ended = not worker.process.is_alive()
            yield from worker.new_epochs()
            if ended:
                del active[run_id]
                yield worker.ending(is_stopping=is_stopping())


@dataclass
class _Worker:
    """A process at work on one run, seen from outside through the run's files."""

    process: BaseProcess
    store: Store
    run_id: str
    seen_epoch: int
    was_asked: bool = field(default=False)

    @classmethod
    def started(
        cls,
        context: multiprocessing.context.BaseContext,
        store: Store,
        run_id: str,
        conditions: Conditions,
    ) -> "_Worker":
        store.run(run_id).forget_failure()
        process = context.Process(  # type: ignore[attr-defined]
            target=_work, args=(store.path, run_id, conditions), name=run_id
        )
        process.start()
        return cls(process, store, run_id, _last_epoch(store, run_id))

    def new_epochs(self) -> Iterator[Event]:
        last = _last_epoch(self.store, self.run_id)
        for epoch in range(self.seen_epoch + 1, last + 1):
            yield Event("epoch", self.run_id, epoch=epoch)
        self.seen_epoch = max(last, self.seen_epoch)

    def ask_to_stop(self, *, kill: bool) -> None:
        if kill:
            # Nothing committed can be lost: the journal holds it already.
            self.process.kill()
        elif not self.was_asked:
            self.process.terminate()
            self.was_asked = True

    def ending(self, *, is_stopping: bool) -> Event:
        code = self.process.exitcode or 0
        if code == 0:
            history = self.store.run(self.run_id).history()
            reason = history.reason or ""
            return Event("ended", self.run_id, 0, history.outcome, 0, reason)
        if code == 75 or (code < 0 and is_stopping):
            return Event("ended", self.run_id, 0, "interrupted", 75)
        reason = self.store.run(self.run_id).failure() or ""
        if code == LockedError.exit_code:
            reason = "another process is at work on it; wait, or stop that one."
        if code < 0:
            reason = f"its process was killed by signal {-code}; run again to resume."
        return Event("ended", self.run_id, 0, "failed", max(code, 1), reason)


def _work(path: Path, run_id: str, conditions: Conditions) -> None:
    """Carry out one run in this process, and exit with its code."""
    stop = StopRequest()
    driver = multiprocessing.parent_process()

    def is_stopping() -> bool:
        # Workers outlive a killed driver; nobody would hear them, so they stop.
        return stop() or (driver is not None and not driver.is_alive())

    store = Store(path)
    try:
        with stop.listening():
            execute(store, run_id, conditions, is_stopping=is_stopping)
    except (InterruptedRunError, LockedError) as error:
        # No fault of the run; its folder may be another process's to write in.
        sys.exit(error.exit_code)
    except CalibenchError as error:
        _note_failure(store, run_id, str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        _note_failure(store, run_id, system_refusal(error))
        sys.exit(4)
    except (MemoryError, torch.OutOfMemoryError):
        _note_failure(store, run_id, "out of memory. Lower batch_size or --workers.")
        sys.exit(4)
    except Exception as error:  # noqa: BLE001 - a user's loss may raise anything
        words = f"{type(error).__name__}: {error}"
        _note_failure(store, run_id, words.removesuffix(": "))
        sys.exit(1)


def _note_failure(store: Store, run_id: str, reason: str) -> None:
    try:
        store.run(run_id).note_failure(reason)
    except ResourceError:
        # A full disk has no room for the note either; the terminal has.
        sys.stderr.write(f"{run_id}: {reason}\n")


def _last_epoch(store: Store, run_id: str) -> int:
    try:
        return store.run(run_id).history().last_epoch
    except IntegrityError:
        return 0  # the worker finds the same, and says so


def _process_context() -> multiprocessing.context.BaseContext:
    """Return a way to start processes that have imported torch, and done no more."""
    # Read when the OpenMP runtime loads, so set before the server imports torch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    # Every optimizer imports torch._dynamo, which takes over a second: once is enough.
    context.set_forkserver_preload(["calibench.lab.study.execute", "torch._dynamo"])
    return context

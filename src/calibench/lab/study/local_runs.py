"""Carry out runs on this machine, each in a process of its own."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from calibench.lab.store import Store
from calibench.lab.study.events import Event
from calibench.lab.study.prepared_run import Conditions
from calibench.lab.study.run_watch import RunWatch
from calibench.lab.study.stop_request import StopRequest
from calibench.lab.study.work import work
from calibench.lab.training.devices import chosen_device

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 4.0  # from the request to stop until a worker is killed


@dataclass(frozen=True)
class LocalRuns:
    """Processes of this machine.

    Attributes:
        workers: Runs at a time; unless given one for each core, or one on a GPU.
    """

    workers: int | None = None

    def device(self, name: str) -> torch.device:
        return chosen_device(name)

    def launch(
        self,
        store: Store,
        run_ids: Sequence[str],
        conditions: Conditions,
        *,
        is_stopping: Callable[[], bool],
    ) -> Iterator[Event]:
        context = _process_context()
        workers = self.workers or _default_workers(conditions)
        busy = workers * conditions.ranks
        conditions = replace(conditions, spare_core=busy < _num_cores())
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
                yield from worker.watch.new_epochs()
                if ended:
                    del active[run_id]
                    yield worker.ending(is_stopping=is_stopping())


@dataclass
class _Worker:
    """A process at work on one run."""

    process: BaseProcess
    watch: RunWatch
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
        return cls(process, RunWatch.of(store, run_id))

    def ask_to_stop(self, *, kill: bool) -> None:
        if kill:
            # Nothing committed can be lost: the journal holds it already.
            self.process.kill()
        elif not self.was_asked:
            self.process.terminate()
            self.was_asked = True

    def ending(self, *, is_stopping: bool) -> Event:
        code = self.process.exitcode or 0
        if code >= 0:
            return self.watch.ending(code)
        if is_stopping:
            return self.watch.interrupted()
        return self.watch.failed(
            1, f"its process was killed by signal {-code}; run again to resume."
        )


def _work(path: Path, run_id: str, conditions: Conditions) -> None:
    """Carry out one run in this process, and exit with its code."""
    stop = StopRequest()
    driver = multiprocessing.parent_process()

    def is_stopping() -> bool:
        # Workers outlive a killed driver; nobody would hear them, so they stop.
        return stop() or (driver is not None and not driver.is_alive())

    with stop.listening():
        code = work(path, run_id, conditions, is_stopping=is_stopping)
    sys.exit(code)


def _default_workers(conditions: Conditions) -> int:
    on_gpu = chosen_device(conditions.device).type == "cuda"
    return 1 if on_gpu else max(1, _num_cores() // conditions.ranks)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))


def _process_context() -> multiprocessing.context.BaseContext:
    """Return a way to start processes that have imported torch, and done no more."""
    # Read when the OpenMP runtime loads, so set before the server imports torch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    # Every optimizer imports torch._dynamo, which takes over a second: once is enough.
    context.set_forkserver_preload(["calibench.lab.study.execute", "torch._dynamo"])
    return context

"""Carry out runs on this machine, each in a process of its own."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait

import torch

from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.events import Event
from calibench.lab.study.run_process import RunProcess
from calibench.lab.study.run_watch import RunWatch
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
        workers = self.workers or _default_workers(conditions)
        busy = workers * conditions.ranks
        conditions = replace(conditions, spare_core=busy < _num_cores())
        waiting = list(run_ids)
        active: dict[str, _Worker] = {}
        stop_deadline: float | None = None
        while waiting or active:
            while waiting and len(active) < workers and not is_stopping():
                run_id = waiting.pop(0)
                active[run_id] = _Worker.started(store, run_id, conditions)
                yield Event("started", run_id)
            if is_stopping():
                waiting.clear()
                if stop_deadline is None:
                    stop_deadline = time.monotonic() + _GRACE_SECONDS
                for worker in active.values():
                    worker.run.ask_to_stop(kill=time.monotonic() > stop_deadline)
            sentinels = [w.run.process.sentinel for w in active.values()]
            wait(sentinels, timeout=_POLL_SECONDS)
            for run_id, worker in list(active.items()):
                code = worker.run.exit_code
                yield from worker.watch.new_epochs()
                if code is not None:
                    del active[run_id]
                    yield worker.ending(code, is_stopping=is_stopping())


@dataclass
class _Worker:
    """A process at work on one run, and what it has done."""

    run: RunProcess
    watch: RunWatch

    @classmethod
    def started(cls, store: Store, run_id: str, conditions: Conditions) -> "_Worker":
        store.run(run_id).forget_failure()
        process = RunProcess.started(store.path, run_id, conditions)
        return cls(process, RunWatch.of(store, run_id))

    def ending(self, code: int, *, is_stopping: bool) -> Event:
        if code >= 0:
            return self.watch.ending(code)
        if is_stopping:
            return self.watch.interrupted()
        return self.watch.failed(
            1, f"its process was killed by signal {-code}; run again to resume."
        )


def _default_workers(conditions: Conditions) -> int:
    on_gpu = chosen_device(conditions.device).type == "cuda"
    return 1 if on_gpu else max(1, _num_cores() // conditions.ranks)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))

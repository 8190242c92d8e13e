"""A process that carries out one run, forked from one that has imported torch."""

import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

from calibench.lab.study.conditions import Conditions
from calibench.lab.study.stop_request import StopRequest


@dataclass
class RunProcess:
    """A process at work on one run."""

    process: BaseProcess
    was_asked: bool = False

    @classmethod
    def started(
        cls,
        store: Path,
        run_id: str,
        conditions: Conditions,
        environment: Mapping[str, str] | None = None,
    ) -> "RunProcess":
        """Start one.

        Args:
            store: The folder of the store.
            run_id: Of its run.
            conditions: For the run.
            environment: Variables of the process, beside those of the fork server.
        """
        process = process_context().Process(  # type: ignore[attr-defined]
            target=_carry_out,
            args=(store, run_id, conditions, dict(environment or {})),
            name=run_id,
        )
        with _without_main_module():
            process.start()
        return cls(process)

    @property
    def exit_code(self) -> int | None:
        """As the command line gives it; negative for a signal; None while at work."""
        return self.process.exitcode

    def ask_to_stop(self, *, kill: bool) -> None:
        """Let it end between two steps, or at once."""
        if kill:
            # Nothing committed can be lost: the journal holds it already.
            self.process.kill()
        elif not self.was_asked:
            self.process.terminate()
            self.was_asked = True


def process_context() -> BaseContext:
    """Return a way to start processes that have imported torch, and done no more."""
    # Read when the OpenMP runtime loads, so set before the server imports torch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    # Every optimizer imports torch._dynamo, which takes over a second: once is enough.
    context.set_forkserver_preload(["calibench.lab.study.work", "torch._dynamo"])
    return context


def _carry_out(
    store: Path, run_id: str, conditions: Conditions, environment: Mapping[str, str]
) -> None:
    """Carry out one run in this process, and exit with its code."""
    os.environ.update(environment)
    stop = StopRequest()
    driver = multiprocessing.parent_process()

    def is_stopping() -> bool:
        # Workers outlive a killed driver; nobody would hear them, so they stop.
        return stop() or (driver is not None and not driver.is_alive())

    # Here, so that who starts processes need not load torch.
    work = import_module("calibench.lab.study.work").work
    with stop.listening():
        code = work(store, run_id, conditions, is_stopping=is_stopping)
    sys.exit(code)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keep a new process from running the script that this one was started by."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main

"""What a job of a SLURM cluster does: some runs of a store, one after the other."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from os import environ
from pathlib import Path
from types import FrameType

from calibench.errors import InterruptedRunError
from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.stop_request import StopRequest
from calibench.lab.study.work import work

# What SLURM is asked to send before the time limit, and some clusters on preemption.
_END_IS_NEAR = signal.SIGUSR2


@dataclass(frozen=True)
class SlurmTask:
    """Runs for one job; called on a node, perhaps more than once.

    Attributes:
        store: The store's folder, as every node sees it.
    """

    store: Path
    run_ids: tuple[str, ...]
    conditions: Conditions

    def __call__(self) -> dict[str, int]:
        """Carry out the runs; return the exit code of each.

        Asked to stop, it ends the process with exit code 75 instead, so that no result
        is kept of a job that is to go on: SLURM puts back what it preempted, and near
        its time limit the job puts itself back.
        """
        stop, is_near = StopRequest(), StopRequest()
        before = self._num_epochs()
        codes: dict[str, int] = {}

        def end_is_near(number: int, frame: FrameType | None) -> None:
            del number, frame
            is_near.is_set = True

        signal.signal(_END_IS_NEAR, end_is_near)
        with stop.listening():
            for run_id in self.run_ids:
                Store(self.store).run(run_id).forget_failure()
                codes[run_id] = work(
                    self.store,
                    run_id,
                    self.conditions,
                    is_stopping=lambda: stop() or is_near(),
                )
                if InterruptedRunError.exit_code in codes.values():
                    break
            else:
                return codes
            if is_near() and not stop():
                if self._num_epochs() == before:
                    return codes | self._give_up(run_id)
                put_back(environ)
        sys.exit(InterruptedRunError.exit_code)

    def _num_epochs(self) -> int:
        store = Store(self.store)
        return sum(len(store.run(run_id).history().epochs) for run_id in self.run_ids)

    def _give_up(self, run_id: str) -> dict[str, int]:
        """Fail: to begin again would come no further."""
        reason = "not one epoch fits into the time limit. Raise it: --slurm time=..."
        Store(self.store).run(run_id).note_failure(reason)
        return {run_id: 1}


def put_back(environment: Mapping[str, str]) -> None:
    """Put the job of this process back into the queue, where it came from one."""
    job = environment.get("SLURM_JOB_ID")
    if job is not None:
        command = ["scontrol", "requeue", job]
        # No shell, and SLURM itself gave the id.
        subprocess.run(command, check=True, timeout=60, stdout=sys.stderr)  # noqa: S603

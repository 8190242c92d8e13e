"""What happens to the runs of a study, and what carries them out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions


@dataclass(frozen=True)
class Event:
    """Something that happened to a run: it "started", ended an "epoch", or "ended".

    Or it was "lost" with its worker, and is begun again where it stands.

    Attributes:
        outcome: Of an ended run: "finished", "diverged", "interrupted" or "failed".
        exit_code: Of an ended run, as the command line gives it.
        reason: Why it did not finish, where it did not, or how it was lost.
    """

    kind: str
    run_id: str
    epoch: int = 0
    outcome: str = ""
    exit_code: int = 0
    reason: str = ""


@runtime_checkable
class RunEngine(Protocol):
    """Schedules runs. What became of them is in their journals, whoever did the work.

    A run may be started twice, by a retry or by a second driver: `execute` goes on from
    where the journal stands, and owns the run while it works.
    """

    def device(self, name: str) -> torch.device:
        """Return what the runs will train on, for "auto", "cpu" or "cuda".

        Raises:
            ParameterError: The engine has no such device.
        """

    def launch(
        self,
        store: Store,
        run_ids: Sequence[str],
        conditions: Conditions,
        *,
        is_stopping: Callable[[], bool],
    ) -> Iterator[Event]:
        """Carry out runs, the first first, and yield what happens to each.

        One failing run does not stop the others. Once `is_stopping` turns true no run
        is begun, and those under way are asked to stop.
        """

"""A run seen from outside, through the files that its worker writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calibench.errors import IntegrityError, InterruptedRunError, LockedError
from calibench.lab.store import Store
from calibench.lab.study.events import Event


@dataclass
class RunWatch:
    """How far a run was when it was last looked at."""

    store: Store
    run_id: str
    seen_epoch: int
    seen_size: int = -1  # of the journal, which is read only where it has grown

    @classmethod
    def of(cls, store: Store, run_id: str) -> "RunWatch":
        """Watch a run from where it stands."""
        return cls(store, run_id, _last_epoch(store, run_id))

    def new_epochs(self) -> Iterator[Event]:
        """Yield the epochs that were committed since the last look."""
        size = _size(self.store.run(self.run_id).journal.path)
        if size == self.seen_size:
            return
        last, self.seen_size = _last_epoch(self.store, self.run_id), size
        for epoch in range(self.seen_epoch + 1, last + 1):
            yield Event("epoch", self.run_id, epoch=epoch)
        self.seen_epoch = max(last, self.seen_epoch)

    def ending(self, exit_code: int) -> Event:
        """Say how the run ended, whose worker ended with a code."""
        if exit_code == 0:
            history = self.store.run(self.run_id).history()
            reason = history.reason or ""
            return Event("ended", self.run_id, 0, history.outcome, 0, reason)
        if exit_code == InterruptedRunError.exit_code:
            return self.interrupted()
        reason = self.store.run(self.run_id).failure() or ""
        if exit_code == LockedError.exit_code:
            reason = "another process is at work on it; wait, or stop that one."
        return self.failed(exit_code, reason)

    def interrupted(self) -> Event:
        """Say that it was stopped, and can be resumed."""
        code = InterruptedRunError.exit_code
        return Event("ended", self.run_id, 0, "interrupted", code)

    def failed(self, exit_code: int, reason: str) -> Event:
        """Say that it failed."""
        return Event("ended", self.run_id, 0, "failed", exit_code, reason)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _last_epoch(store: Store, run_id: str) -> int:
    try:
        return store.run(run_id).history().last_epoch
    except IntegrityError:
        return 0  # the worker finds the same, and says so

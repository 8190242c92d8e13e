"""A wish to stop, received as a signal. Light: listening begins before torch loads."""

import atexit
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Turns true on SIGTERM or SIGINT, so that work stops where it is safe to."""

    is_set: bool = False

    def __call__(self) -> bool:
        return self.is_set

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Receive both signals in this process while the block runs.

        A process that was asked to stop ignores both while it ends, or one in its last
        moments, which may be long with torch loaded, would kill it.
        """
        before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self.is_set:
                atexit.register(_ignore, before)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_set = True


def _ignore(numbers: Iterable[int]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)

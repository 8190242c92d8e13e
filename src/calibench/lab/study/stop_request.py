"""A wish to stop, received as a signal. Light: listening begins before torch loads."""

import signal
from collections.abc import Iterator
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

        Once asked to stop, the process is about to end, and with its own exit code:
        later signals are ignored, or one in its last moments would kill it.
        """
        before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_IGN if self.is_set else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_set = True

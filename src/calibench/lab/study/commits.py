"""Store epochs in order, beside the training of the next where a core is to spare."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager


class Commits:
    """Carries out commits one after the other, at most one of them in the background.

    What a commit in the background raises is raised by whatever is called next. Until
    then `have_failed` is true, so that training need not go on.
    """

    def __init__(self, *, overlap: bool) -> None:
        self._pool = ThreadPoolExecutor(1, "commit") if overlap else None
        self._last: Future[None] | None = None

    @property
    def have_failed(self) -> bool:
        """Whether the commit in the background has raised; never waits."""
        last = self._last
        return last is not None and last.done() and last.exception() is not None

    def submit(self, commit: Callable[[], None]) -> None:
        """Carry out a commit after those before it.

        Raises:
            CalibenchError: An earlier one failed; this one is not begun.
        """
        self.settle()
        if self._pool is None:
            commit()
        else:
            self._last = self._pool.submit(commit)

    def settle(self) -> None:
        """Wait until every commit has ended.

        Raises:
            CalibenchError: One failed.
        """
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        """Wait until every commit has ended, and take no more.

        Raises:
            CalibenchError: One failed.
        """
        try:
            self.settle()
        finally:
            if self._pool is not None:
                self._pool.shutdown()


@contextmanager
def ordered_commits(*, overlap: bool) -> Iterator[Commits]:
    """Take commits while the block runs, and end when the last of them has.

    Raises:
        CalibenchError: A commit failed. Where the block failed as well, because it was
            stopped for that, the commit is what is raised.
    """
    commits = Commits(overlap=overlap)
    try:
        yield commits
    finally:
        commits.close()

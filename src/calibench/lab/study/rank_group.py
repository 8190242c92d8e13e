"""A group of processes on this machine that work on one run, and end together."""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import distributed

from calibench.errors import CalibenchError, InterruptedRunError
from calibench.lab.study.stop_request import StopRequest

_POLL_SECONDS = 0.1
# From a request to stop until who has not is killed: a commit may be under way, which
# is safe either way.
_GRACE_SECONDS = 2.5


class RankError(CalibenchError):
    """A process of a group was killed, and the others ended with it."""


@dataclass(frozen=True)
class Group:
    """How many processes, and on what.

    Attributes:
        device: "cpu" for gloo, or "cuda" for nccl, with a GPU for each.
        context: How they are started; best by a server that has imported torch.
    """

    num_ranks: int
    device: str
    context: BaseContext

    def run(
        self,
        target: Callable[..., None],
        arguments: Sequence[Any],
        is_stopping: Callable[[], bool],
    ) -> None:
        """Call `target(*arguments, is_stopping)` in every process.

        It has ended when the first of them has; where one fails, all do in seconds.

        Raises:
            InterruptedRunError: `is_stopping` turned true here, or there.
            RankError: A process was killed.
            Exception: What the process raised that was first to fail.
        """
        with tempfile.TemporaryDirectory(prefix="calibench-ranks-") as folder:
            work = (target, arguments, self.device, Path(folder) / "rendezvous")
            ranks = [
                _Rank.started(self.context, index, self.num_ranks, work)
                for index in range(self.num_ranks)
            ]
            try:
                was_asked = _watch(ranks, is_stopping)
            finally:
                for rank in ranks:
                    rank.end()
        if ranks[0].process.exitcode == 0:
            return
        if was_asked:
            msg = "stopped; the epoch under way is run again on resuming."
            raise InterruptedRunError(msg)
        raise _cause(ranks)


@dataclass(eq=False)
class _Rank:
    """A process of a group, as it is seen by the one that started it."""

    index: int
    process: BaseProcess
    answer: Connection
    signal: int = 0
    failed_at: float = float("inf")
    error: Exception | None = None

    @classmethod
    def started(
        cls, context: BaseContext, index: int, count: int, work: tuple[Any, ...]
    ) -> "_Rank":
        answer, theirs = context.Pipe(duplex=False)
        process = context.Process(  # type: ignore[attr-defined]
            target=_be_rank, args=(index, count, *work, theirs), name=f"rank {index}"
        )
        process.start()
        theirs.close()
        return cls(index, process, answer)

    def has_failed(self) -> bool:
        """Whether it has ended otherwise than well; notes how."""
        code = self.process.exitcode or 0
        self.signal = max(-code, 0)
        if code > 0 and self.error is None and self.answer.poll():
            with suppress(EOFError):  # it ended without a word
                self.failed_at, self.error = self.answer.recv()
        return code != 0

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.answer.close()


def _watch(ranks: Sequence[_Rank], is_stopping: Callable[[], bool]) -> bool:
    """Wait until the first process, or the whole group, is done; was it asked to be?"""
    was_asked, deadline = False, float("inf")
    while ranks[0].process.is_alive() and time.monotonic() < deadline:
        if is_stopping() and not was_asked:
            was_asked, deadline = True, time.monotonic() + _GRACE_SECONDS
            for rank in ranks:
                rank.process.terminate()
        alive = [rank.process for rank in ranks if rank.process.is_alive()]
        wait([process.sentinel for process in alive], timeout=_POLL_SECONDS)
        if not was_asked and any(rank.has_failed() for rank in ranks):
            break
    # The others may be about to say that they lost it, or what led to it.
    wait([ranks[0].process.sentinel], timeout=_POLL_SECONDS)
    for rank in ranks:
        rank.has_failed()
    return was_asked


def _cause(ranks: Sequence[_Rank]) -> Exception:
    """Return why a group failed: what was first, for the others failed of that."""
    for rank in ranks:
        if rank.signal:
            return RankError(
                f"rank {rank.index} of {len(ranks)} was killed by signal "
                f"{rank.signal}; run again to resume."
            )
    first = min(ranks, key=lambda rank: rank.failed_at)
    return first.error or RankError("a rank ended without a word; run again to resume.")


def _be_rank(  # noqa: PLR0913, PLR0917 - all that a process has to be told
    index: int,
    count: int,
    target: Callable[..., None],
    arguments: Sequence[Any],
    device: str,
    rendezvous: Path,
    answer: Connection,
) -> NoReturn:
    """Be one process of a group; exit with 0, or with 1 after sending an error."""
    stop, starter = StopRequest(), multiprocessing.parent_process()
    assert starter is not None  # noqa: S101 - it started this process
    threading.Thread(target=_end_after, args=(starter,), daemon=True).start()
    with stop.listening():
        try:
            _join(index, count, device, rendezvous)
            target(*arguments, lambda: stop() or not starter.is_alive())
        except Exception as error:  # noqa: BLE001 - a user's loss may raise anything
            _send(answer, error)
            # At once: torch would wait for its peers, and they for this process.
            os._exit(1)
    distributed.destroy_process_group()
    sys.exit(0)


def _join(index: int, count: int, device: str, rendezvous: Path) -> None:
    if device == "cuda":
        torch.cuda.set_device(index)
    # All are on this machine, whatever its name resolves to.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        init_method=f"file://{rendezvous}",
        rank=index,
        world_size=count,
    )


def _send(answer: Connection, error: Exception) -> None:
    try:
        answer.send((time.monotonic(), error))
    except Exception:  # noqa: BLE001 - an error of the user's own may not be sendable
        words = f"{type(error).__name__}: {error}"
        answer.send((time.monotonic(), RuntimeError(words.removesuffix(": "))))


def _end_after(starter: Any) -> None:  # noqa: ANN401 - multiprocessing names no type
    """End with the process that started this one, even from within a collective."""
    starter.join()
    time.sleep(_GRACE_SECONDS)
    os._exit(1)

"""Where a map over many items runs: here, in threads, or over Ray."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from calibench.errors import ParameterError
from calibench.lab import ray_engine
from calibench.options import whole_number
from calibench.validation import member

Item = TypeVar("Item")
Result = TypeVar("Result")

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Engine:
    """Where to run, and how wide.

    Attributes:
        on: "local" for this process, "ray" for tasks of a Ray cluster.
        workers: Threads of this process, 1 unless given; for Ray the cores of a
            cluster that is started here, all unless given.
        address: Of a Ray cluster that runs already.

    Raises:
        ParameterError: There is no such engine, or it takes no address.
        ResourceError: It is not installed.
    """

    on: str = "local"
    workers: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot run before anything has."""
        member(self.on, ENGINES, "engine")
        if self.address is not None and self.on != "ray":
            msg = "--ray-address needs --on ray. Give both, or neither."
            raise ParameterError(msg)
        if self.workers is not None:
            whole_number(self.workers, "workers", 1)
        if self.on == "ray":
            ray_engine.ray_module()

    @property
    def shares_memory(self) -> bool:
        """Whether a function sees the objects of this process."""
        return self.on == "local"

    def mapped(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Apply a function to each item, and yield the results in order.

        Raises:
            CalibenchError: What `function` raises.
            ResourceError: The cluster fails.

        Example:
            >>> list(Engine(workers=2).mapped(abs, [-1, 2, -3]))
            [1, 2, 3]
        """
        if self.on == "ray":
            return ray_engine.mapped(
                function, items, workers=self.workers, address=self.address
            )
        if self.workers is None or self.workers == 1:
            return map(function, items)
        return _in_threads(function, items, self.workers)


def _in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

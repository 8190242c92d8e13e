"""Tasks with resources on a Ray cluster, retried by whoever began them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from calibench.errors import CalibenchError, ResourceError
from calibench.lab.ray_engine import failures, ray_module, words

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ended:
    """A task that is over.

    Attributes:
        key: As it was begun under.
        result: What its function returned; None where it did not come to that.
        lost: Why not: its worker or node died, or it was cancelled before it began.
    """

    key: str
    result: Any = None
    lost: str = ""


class Tasks:
    """Tasks of one function, begun one by one. Ray runs none of them a second time.

    Args:
        function: Called in a worker with a key and with `shared`. A request to stop
            reaches it as a KeyboardInterrupt.
        shared: Sent to the cluster once for all tasks.
        cpus: That Ray keeps free for each.
        gpus: Likewise; a fraction shares one.
    """

    def __init__(
        self,
        function: Callable[[str, Any], Any],
        shared: Any,  # noqa: ANN401 - whatever the function takes
        *,
        cpus: float,
        gpus: float,
    ) -> None:
        """Send what they share."""
        self._ray = ray_module()
        # Ray ends a worker after one task on a GPU, unless it is told otherwise.
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0, "max_calls": 0}
        self._task = self._ray.remote(**options)(function)
        self._shared = self._ray.put(shared)
        self._keys: dict[Any, str] = {}

    def __len__(self) -> int:
        """How many are under way or wait for resources."""
        return len(self._keys)

    def begin(self, key: str) -> None:
        """Begin one."""
        with failures(self._ray):
            self._keys[self._task.remote(key, self._shared)] = key

    def ended(self, *, timeout: float) -> Iterator[Ended]:
        """Wait until at least one is over, or for `timeout` seconds; yield those.

        Raises:
            Exception: What a function raised.
            ResourceError: The cluster fails.
        """
        if not self._keys:
            time.sleep(timeout)
            return
        with failures(self._ray):
            over, _ = self._ray.wait(
                list(self._keys), num_returns=len(self._keys), timeout=0
            )
            if not over:
                over, _ = self._ray.wait(list(self._keys), timeout=timeout)
        for reference in over:
            key = self._keys.pop(reference)
            with failures(self._ray):
                yield self._ending(key, reference)

    def ask_to_stop(self) -> None:
        """Cancel those that have not begun; interrupt the others."""
        for reference in self._keys:
            self._ray.cancel(reference)

    def _ending(self, key: str, reference: Any) -> Ended:  # noqa: ANN401
        known = self._ray.exceptions
        try:
            return Ended(key, self._ray.get(reference))
        except known.RayTaskError:
            raise
        except known.TaskCancelledError:
            return Ended(key, lost="it was cancelled")
        except known.RayError as error:
            # Whatever became of the worker, the store says what it did before.
            return Ended(key, lost=words(error))


def on_every_node(
    function: Callable[[str, Any], str],
    shared: Any,  # noqa: ANN401 - whatever the function takes
    *,
    timeout: float,
) -> list[str]:
    """Call a function with the name of each node there; return what it answered.

    Nodes that die meanwhile are left out.

    Raises:
        ResourceError: A node cannot run the function, or not within `timeout` seconds.
    """
    ray = ray_module()
    with failures(ray):
        task = ray.remote(num_cpus=0, max_retries=0)(function)
        names = {
            _only_on(ray, task, node["NodeID"]).remote(_name(node), shared): _name(node)
            for node in ray.nodes()
            if node["Alive"]
        }
        _, silent = ray.wait(list(names), num_returns=len(names), timeout=timeout)
    if silent:
        msg = (
            f"Ray: no worker started within {timeout:g} seconds on "
            f"{', '.join(sorted(names[each] for each in silent))}. Look at the memory "
            "and the logs of these nodes, or remove them."
        )
        raise ResourceError(msg)
    answers = [_answer(ray, each, name) for each, name in names.items()]
    return [answer for answer in answers if answer is not None]


def most_at_once(cpus: int, gpus: float) -> int:
    """How many tasks of so many CPUs and GPUs the nodes have room for."""
    ray = ray_module()
    with failures(ray):
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(_room(each, cpus, gpus) for each in alive)


def num_gpus() -> float:
    """How many GPUs the cluster has."""
    ray = ray_module()
    with failures(ray):
        return float(ray.cluster_resources().get("GPU", 0))


def _room(resources: dict[str, float], cpus: int, gpus: float) -> int:
    """How many there is room for on one node: a task cannot be on two."""
    for_cpus = int(resources.get("CPU", 0)) // cpus
    if not gpus:
        return for_cpus
    there = int(resources.get("GPU", 0))
    # Nor can it have parts of two GPUs.
    for_gpus = int(there / gpus) if gpus >= 1 else there * int(1 / gpus + 1e-9)
    return min(for_cpus, for_gpus)


def _only_on(ray: Any, task: Any, node_id: str) -> Any:  # noqa: ANN401
    strategies = import_module(f"{ray.__name__}.util.scheduling_strategies")
    here = strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)
    return task.options(scheduling_strategy=here)


def _name(node: dict[str, Any]) -> str:
    return str(node["NodeManagerHostname"])


def _answer(ray: Any, reference: Any, node: str) -> str | None:  # noqa: ANN401
    known = ray.exceptions
    try:
        return str(ray.get(reference))
    except known.RayTaskError as error:
        if isinstance(error.cause, CalibenchError):
            raise error.cause from None
        # Before anything of ours ran: it is not installed there, or another version.
        msg = (
            f"node {node} cannot run calibench: {words(error.cause)}. Install the same "
            "version there as here, with the same packages."
        )
        raise ResourceError(msg) from error
    except known.RayError:
        return None

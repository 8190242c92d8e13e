"""A Ray cluster, and a map over its workers. No other module imports ray."""

import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from calibench.errors import CalibenchError, ResourceError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Tasks under way for each core: enough to keep it busy, few enough that results which
# wait for their turn stay small.
_TASKS_PER_CORE = 4
_RETRIES = 3
# Of a cluster of our own: results in transit, a few MB each.
_OBJECT_STORE = 2**28


def mapped(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    address: str | None = None,
) -> Iterator[Result]:
    """Apply a function to each item in a Ray task, and yield the results in order.

    A task whose worker or node dies is run again, up to three times, so `function` must
    not care. An error that it raises is raised here, as it is.

    Args:
        function: What to apply; it is sent to the workers, as are items and results.
        items: Consumed as tasks finish, not all at once.
        workers: Cores of a cluster that is started here; all of them unless given.
        address: Of a cluster that runs already; else `$RAY_ADDRESS`, else one is
            started on this machine for the time of the map.

    Raises:
        ResourceError: Ray is not installed, or the cluster fails.
        CalibenchError: What `function` raises.
    """
    ray = ray_module()
    with cluster(workers, address), failures(ray):
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(function)
        cores = int(ray.cluster_resources().get("CPU", 1))
        waiting: deque[Any] = deque()
        try:
            for item in items:
                waiting.append(task.remote(item))
                if len(waiting) >= _TASKS_PER_CORE * cores:
                    yield ray.get(waiting.popleft())
            while waiting:
                yield ray.get(waiting.popleft())
        finally:
            for reference in waiting:
                ray.cancel(reference)


def ray_module() -> Any:  # noqa: ANN401 - a module that may not be there
    """Return the module `ray`.

    Raises:
        ResourceError: It is not installed.
    """
    # It phones home unless it is told not to before it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("ray")
    except ModuleNotFoundError as error:
        msg = (
            "--on ray needs ray, which is not installed. "
            "Install it with: pip install 'calibench[ray]'"
        )
        raise ResourceError(msg) from error


@contextmanager
def cluster(workers: int | None = None, address: str | None = None) -> Iterator[None]:
    """Connect to a cluster, or start one, for the maps inside; reuse one that is there.

    Args:
        workers: As for `mapped`.
        address: As for `mapped`.

    Raises:
        ResourceError: Ray is not installed, or no cluster answers.
    """
    ray = ray_module()
    if ray.is_initialized():
        yield
        return
    there = address or os.environ.get("RAY_ADDRESS")
    own = {
        "num_cpus": workers or os.cpu_count(),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE,
    }
    with failures(ray), _signals_kept(), warnings.catch_warnings():
        # What it will do in a later version is no news to who runs this.
        warnings.simplefilter("ignore")
        try:
            ray.init(
                address=there or "local",
                log_to_driver=False,
                logging_level="ERROR",
                **({} if there else own),
            )
        except ConnectionError:
            raise
        except Exception as error:  # Ray raises all kinds, this one among them
            msg = f"Ray cannot be used: {words(error)}"
            raise ResourceError(msg) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back what listens to signals: Ray has its own ideas, and exits with 1."""
    in_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if in_main else ()
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)


@contextmanager
def failures(ray: Any) -> Iterator[None]:  # noqa: ANN401
    """Raise what a task raised as it is, and what Ray says as a `ResourceError`."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, CalibenchError):
            raise cause from None
        raise cause from error
    except ray.exceptions.RayError as error:
        msg = (
            f"Ray: {words(error)}. Look at the memory and the logs of its nodes, and "
            "run the command again."
        )
        raise ResourceError(msg) from error
    except ConnectionError as error:
        msg = (
            f"no Ray cluster answers: {error}. Start one (ray start --head) and give "
            "its address, or give none for a cluster on this machine."
        )
        raise ResourceError(msg) from error


def words(error: Exception) -> str:
    """Return what an error says in one line; Ray writes pages."""
    return " ".join(str(error).split())[:300]

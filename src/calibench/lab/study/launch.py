"""Choose what schedules the runs of a study."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from calibench.errors import ParameterError
from calibench.lab.study.events import RunEngine
from calibench.lab.study.local_runs import LocalRuns
from calibench.options import whole_number
from calibench.validation import member

ENGINES = ("local", "ray", "slurm")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where runs are carried out, and how many at a time.

    Attributes:
        on: "local" for processes of this machine, "ray" for tasks of a Ray cluster,
            "slurm" for jobs of a SLURM cluster.
        workers: Runs at a time.
        ray_address: Of a Ray cluster that runs already.

    Raises:
        ParameterError: There is no such engine, or it has no such option.
    """

    on: str = "local"
    workers: int | None = None
    ray_address: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot run before anything has."""
        member(self.on, ENGINES, "engine")
        if self.ray_address is not None and self.on != "ray":
            msg = "--ray-address needs --on ray. Give both, or neither."
            raise ParameterError(msg)
        if self.workers is not None:
            whole_number(self.workers, "workers", 1)

    @contextmanager
    def opened(self) -> Iterator[RunEngine]:
        """Connect to what schedules, for as long as the block runs.

        Raises:
            ResourceError: It does not answer.
        """
        if self.on != "local":
            msg = f"runs --on {self.on} are not there yet. Use --on local."
            raise ParameterError(msg)
        yield LocalRuns(self.workers)

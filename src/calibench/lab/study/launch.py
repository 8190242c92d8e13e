"""Choose what schedules the runs of a study."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from calibench.errors import ParameterError
from calibench.lab import ray_engine
from calibench.lab.study.events import RunEngine
from calibench.lab.study.local_runs import LocalRuns
from calibench.lab.study.ray_runs import RayRuns
from calibench.lab.study.slurm_queue import SlurmQueue, has_gpu, sbatch_options
from calibench.lab.study.slurm_runs import SlurmRuns
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
        gpus_per_run: What a run on a GPU of a Ray cluster takes of one.
        slurm: Options of sbatch for every job, each as "key=value" or "key".

    Raises:
        ParameterError: There is no such engine, or it has no such option.
    """

    on: str = "local"
    workers: int | None = None
    ray_address: str | None = None
    gpus_per_run: float | None = None
    slurm: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot run before anything has."""
        member(self.on, ENGINES, "engine")
        if self.ray_address is not None and self.on != "ray":
            msg = "--ray-address needs --on ray. Give both, or neither."
            raise ParameterError(msg)
        if self.gpus_per_run is not None:
            self._check_gpus(self.gpus_per_run)
        if self.slurm and self.on != "slurm":
            msg = "--slurm needs --on slurm. Give both, or neither."
            raise ParameterError(msg)
        if self.workers is not None:
            whole_number(self.workers, "workers", 1)

    @contextmanager
    def opened(self) -> Iterator[RunEngine]:
        """Connect to what schedules, for as long as the block runs.

        Raises:
            ResourceError: It does not answer.
        """
        if self.on == "slurm":
            options = sbatch_options(self.slurm)
            yield SlurmRuns(SlurmQueue(options), self.workers, has_gpu(options))
        elif self.on == "ray":
            with ray_engine.cluster(self.workers, self.ray_address):
                yield RayRuns(self.workers, self.gpus_per_run or 1.0)
        else:
            yield LocalRuns(self.workers)

    def _check_gpus(self, given: float) -> None:
        if self.on != "ray":
            msg = "--gpus-per-run needs --on ray. Give both, or neither."
            raise ParameterError(msg)
        # Ray gives a task a part of one GPU, or whole ones.
        if not 0 < given <= 1:
            msg = f"gpus_per_run must be above 0 and at most 1, got {given:g}."
            raise ParameterError(msg)

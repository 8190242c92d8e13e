"""Jobs of a SLURM cluster: submitted, asked about. No other module imports submitit."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import call
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from calibench.errors import ParameterError, ResourceError

Task: TypeAlias = Callable[[], dict[str, int]]

_OPTION = re.compile(r"([a-z][a-z0-9-]*)(?:=(.*))?", re.DOTALL)
# What calibench itself gives to sbatch; another value would make it lose its jobs.
_OURS = frozenset({"array", "error", "job-name", "open-mode", "output", "wrap"})
_SECONDS_BEFORE_LIMIT = 120
_PATIENCE = 60.0  # seconds for an answer of the controller


@runtime_checkable
class Queue(Protocol):
    """What takes jobs, and says how they are."""

    def submit(
        self, folder: Path, name: str, tasks: Sequence[Task], workers: int | None
    ) -> str:
        """Submit tasks under a name, `workers` at a time; return the id of all.

        Raises:
            ResourceError: They were refused.
        """

    def found(self, name: str) -> str | None:
        """Return the id of the jobs of a name; None where none was submitted."""

    def states(self) -> dict[str, str]:
        """Return the state of every task of the user that is known, by its id.

        Raises:
            ResourceError: There is no answer.
        """

    def codes(self, folder: Path, task_id: str) -> dict[str, int]:
        """Return what a task came to: an exit code for each run that it ended."""


@dataclass(frozen=True)
class SlurmQueue:
    """The cluster that `sbatch` and `squeue` of this machine belong to.

    Attributes:
        options: Long options of sbatch without dashes, such as {"partition": "gpu"};
            True for those that take no value.
    """

    options: Mapping[str, str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse where nothing can be submitted, before anything has begun.

        Raises:
            ResourceError: SLURM or submitit is not there.
        """
        missing = [name for name in ("sbatch", "squeue") if shutil.which(name) is None]
        if missing:
            msg = (
                f"--on slurm needs {' and '.join(missing)}, which this machine does "
                "not have. Run it where you submit jobs."
            )
            raise ResourceError(msg)
        _submitit()

    def submit(
        self, folder: Path, name: str, tasks: Sequence[Task], workers: int | None
    ) -> str:
        submitit = _submitit()
        executor = submitit.SlurmExecutor(folder=folder)
        executor.update_parameters(
            job_name=name,
            time=None,  # the partition's, unless an option says
            wckey=None,
            signal_delay_s=_SECONDS_BEFORE_LIMIT,
            array_parallelism=workers or len(tasks),
            # Read when torch is loaded; a worker computes with one thread.
            setup=["export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}"],
            additional_parameters={"requeue": True, **self.options},
        )
        try:
            jobs = executor.map_array(call, tasks)
        except (submitit.core.utils.FailedJobError, OSError) as error:
            msg = f"SLURM does not take the jobs: {error}"
            raise ResourceError(msg) from error
        return jobs[0].job_id.partition("_")[0]

    def found(self, name: str) -> str | None:
        ids = _asked("--states=all", f"--name={name}", "--format=%F").split()
        return ids[0] if ids else None

    def states(self) -> dict[str, str]:
        lines = _asked("--states=all", "--array", "--format=%i %T").splitlines()
        return dict(line.split()[:2] for line in lines)

    def codes(self, folder: Path, task_id: str) -> dict[str, int]:
        job = _submitit().SlurmJob(folder=folder, job_id=task_id)
        if not job.paths.result_pickle.exists():
            return {}
        try:
            return dict(job.result())
        except Exception:  # noqa: BLE001 - whatever ended the job ended it without codes
            return {}


def sbatch_options(given: Sequence[str]) -> dict[str, str | bool]:
    """Read options of sbatch, each as KEY=VALUE or KEY.

    Raises:
        ParameterError: One is written otherwise, or belongs to calibench.
    """
    options: dict[str, str | bool] = {}
    for text in given:
        read = _OPTION.fullmatch(text)
        if read is None or "\n" in text:
            msg = (
                f"--slurm takes an option of sbatch without dashes, as KEY=VALUE or "
                f"KEY, such as partition=gpu; not {text!r}."
            )
            raise ParameterError(msg)
        key, value = read[1], read[2]
        if key in _OURS:
            msg = f"--slurm {key}: calibench sets this itself. Leave it out."
            raise ParameterError(msg)
        options[key] = True if value is None else value
    return options


def has_gpu(options: Mapping[str, str | bool]) -> bool:
    """Whether options of sbatch ask for a GPU.

    >>> has_gpu({"gpus-per-task": "1"}), has_gpu({"gres": "gpu:2"})
    (True, True)
    >>> has_gpu({"partition": "gpu"})
    False
    """
    return any(
        key.startswith("gpus") or (key == "gres" and "gpu" in str(value))
        for key, value in options.items()
    )


def _asked(*options: str) -> str:
    command = ["squeue", "--noheader", "--me", *options]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and all options are ours
            command, capture_output=True, text=True, check=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip()
        msg = f"SLURM does not answer: {why}. Jobs that run go on; run again later."
        raise ResourceError(msg) from error
    return done.stdout


def _submitit() -> Any:  # noqa: ANN401 - a module that may not be there
    try:
        return import_module("submitit")
    except ModuleNotFoundError as error:
        msg = (
            "--on slurm needs submitit, which is not installed. "
            "Install it with: pip install 'calibench[slurm]'"
        )
        raise ResourceError(msg) from error

"""What a study will cost, before it is begun."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from calibench.lab.data.batches import check_batch_size
from calibench.lab.data.sources import DatasetShape
from calibench.lab.study.own_code import check_own_loss
from calibench.lab.study.spec import RunSpec, StudySpec
from calibench.models import build_model, num_multiply_adds

# Multiply-adds per second that one CPU core sustained in training these networks at
# widths 8 to 16 (27 to 63e9, docs/log.md); a GPU is faster by two to four orders.
_CORE_MULTIPLY_ADDS = 40e9

_PASSES_PER_STEP = 3  # forward, and backward for activations and for weights


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run and its training cost.

    Attributes:
        multiply_adds: Of all training steps; evaluation adds some percent. None where
            they cannot be counted, as in a network whose path depends on its numbers.
    """

    run_id: str
    model: str
    loss: str
    seed: int
    multiply_adds: float | None

    @property
    def core_minutes(self) -> float | None:
        """Rough time on one CPU core; None where it is not known."""
        if self.multiply_adds is None:
            return None
        return self.multiply_adds / _CORE_MULTIPLY_ADDS / 60


@dataclass(frozen=True)
class Plan:
    """All runs of a study with their costs."""

    study: str
    epochs: int
    runs: tuple[PlannedRun, ...]

    def costliest_first(self) -> list[str]:
        """Return the runs so that the long ones do not come last and alone."""

        def cost(run: PlannedRun) -> float:
            return math.inf if run.multiply_adds is None else run.multiply_adds

        return [run.run_id for run in sorted(self.runs, key=cost, reverse=True)]

    @property
    def core_minutes(self) -> float | None:
        """Rough time of all runs on one CPU core; None where one is not known."""
        each = [run.core_minutes for run in self.runs]
        return None if None in each else sum(filter(None, each))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "study": self.study,
            "epochs": self.epochs,
            "runs": [
                {
                    "run_id": run.run_id,
                    "model": run.model,
                    "loss": run.loss,
                    "seed": run.seed,
                    "multiply_adds": run.multiply_adds,
                    "core_minutes": run.core_minutes,
                }
                for run in self.runs
            ],
            "core_minutes": self.core_minutes,
        }

    def table(self) -> str:
        """Return the plan as lines of text."""
        lines = [f"{run.run_id:<48} {_minutes(run.core_minutes)}" for run in self.runs]
        return "\n".join(
            [
                f"{self.study}: {len(self.runs)} runs of {self.epochs} epochs, "
                "with a rough time on one CPU core",
                *lines,
                f"{'together':<48} {_minutes(self.core_minutes)}",
            ]
        )


def planned(study: StudySpec, shape: DatasetShape) -> Plan:
    """Count what every run of a study computes.

    Raises:
        ParameterError: The data set has too few examples for the splits, or the train
            split for one batch; or a loss of the user's own returns no number.
    """
    num_examples = study.splits.num_train_of(shape.num_train)
    check_batch_size(study.train.batch_size, num_examples)
    for named in study.losses:
        if named.own is not None:
            check_own_loss(named.own, shape.num_classes)
    per_image = {run.model: _multiply_adds(run, shape) for run in study.runs()}
    steps = _PASSES_PER_STEP * num_examples * study.train.epochs
    return Plan(
        study=study.name,
        epochs=study.train.epochs,
        runs=tuple(_planned(run, per_image[run.model], steps) for run in study.runs()),
    )


def _planned(run: RunSpec, per_image: int | None, num_images: int) -> PlannedRun:
    return PlannedRun(
        run_id=run.run_id,
        model=run.model,
        loss=run.named_loss.name,
        seed=run.seed,
        multiply_adds=None if per_image is None else float(per_image * num_images),
    )


def _multiply_adds(run: RunSpec, shape: DatasetShape) -> int | None:
    # One of the user's own may load its weights, for which it needs a real device.
    with torch.device("meta" if run.own_model is None else "cpu"):
        network = build_model(
            run.model_source,
            shape.num_classes,
            width=run.width,
            in_channels=shape.image_shape[0],
            seed=0,
        )
    if run.own_model is None:
        return num_multiply_adds(network, shape.image_shape)
    try:
        return num_multiply_adds(network, shape.image_shape)
    except Exception:  # noqa: BLE001 - a user's network may raise anything
        return None


def _minutes(minutes: float | None) -> str:
    if minutes is None:
        return "  unknown"
    return f"{minutes:8.1f} min" if minutes < 120 else f"{minutes / 60:8.1f} h"

"""What a study will cost, before it is begun."""

from dataclasses import dataclass
from typing import Any

import torch

from calibench.lab.data.batches import check_batch_size
from calibench.lab.data.sources import DatasetShape
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
        multiply_adds: Of all training steps; evaluation adds some percent.
    """

    run_id: str
    model: str
    loss: str
    seed: int
    multiply_adds: float

    @property
    def core_minutes(self) -> float:
        """Rough time on one CPU core."""
        return self.multiply_adds / _CORE_MULTIPLY_ADDS / 60


@dataclass(frozen=True)
class Plan:
    """All runs of a study with their costs."""

    study: str
    epochs: int
    runs: tuple[PlannedRun, ...]

    def costliest_first(self) -> list[str]:
        """Return the runs so that the long ones do not come last and alone."""
        ordered = sorted(self.runs, key=lambda run: -run.multiply_adds)
        return [run.run_id for run in ordered]

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
            "core_minutes": sum(run.core_minutes for run in self.runs),
        }

    def table(self) -> str:
        """Return the plan as lines of text."""
        lines = [f"{run.run_id:<48} {_minutes(run.core_minutes)}" for run in self.runs]
        total = sum(run.core_minutes for run in self.runs)
        return "\n".join(
            [
                f"{self.study}: {len(self.runs)} runs of {self.epochs} epochs, "
                "with a rough time on one CPU core",
                *lines,
                f"{'together':<48} {_minutes(total)}",
            ]
        )


def planned(study: StudySpec, shape: DatasetShape) -> Plan:
    """Count what every run of a study computes.

    Raises:
        ParameterError: The data set has too few examples for the splits, or the train
            split for one batch.
    """
    num_examples = study.splits.num_train_of(shape.num_train)
    check_batch_size(study.train.batch_size, num_examples)
    per_image = {model: _multiply_adds(study, model, shape) for model in study.models}
    steps = _PASSES_PER_STEP * num_examples * study.train.epochs
    return Plan(
        study=study.name,
        epochs=study.train.epochs,
        runs=tuple(_planned(run, per_image[run.model] * steps) for run in study.runs()),
    )


def _planned(run: RunSpec, multiply_adds: float) -> PlannedRun:
    return PlannedRun(
        run_id=run.run_id,
        model=run.model,
        loss=run.named_loss.name,
        seed=run.seed,
        multiply_adds=float(multiply_adds),
    )


def _multiply_adds(study: StudySpec, model: str, shape: DatasetShape) -> int:
    with torch.device("meta"):
        network = build_model(
            model,
            shape.num_classes,
            width=study.width,
            in_channels=shape.image_shape[0],
            seed=0,
        )
    return num_multiply_adds(network, shape.image_shape)


def _minutes(minutes: float) -> str:
    return f"{minutes:8.1f} min" if minutes < 120 else f"{minutes / 60:8.1f} h"

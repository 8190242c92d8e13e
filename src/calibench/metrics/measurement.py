"""A number with all that is needed to read it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibench.metrics.definitions import Definition
from calibench.metrics.floor import NoiseFloor
from calibench.metrics.intervals import Interval


@dataclass(frozen=True)
class Measurement:
    """A number, its uncertainty and its definition.

    Attributes:
        value: The number. Infinite for an NLL and log-odds of probabilities given as
            0; NaN where it was left out, or where weights that are not whole numbers
            do not count examples: the definition says why.
        interval: A confidence interval, or None: the definition says why.
        floor: What a calibrated model would score; None where that is not asked.
        definition: What exactly was computed.
    """

    value: float
    interval: Interval | None
    floor: NoiseFloor | None
    definition: Definition

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON, which has no infinity: that becomes None."""
        floor = self.floor and {
            "mean": self.floor.mean,
            "p95": self.floor.p95,
            "p_value": self.floor.p_value,
        }
        return {
            "value": self.value if math.isfinite(self.value) else None,
            "interval": self.interval and list(self.interval),
            "floor": floor,
            "definition": self.definition.to_dict(),
        }


@dataclass(frozen=True)
class TemperatureDiagnosis:
    """The temperature with the lowest NLL on the very examples that it is fitted to.

    It describes them (above 1: over-confident) and is not for use: a calibrator is
    fitted on a calibration split.

    Attributes:
        value: The temperature, or None where there is no optimum.
        nll: The NLL at that temperature, an optimistic one.
        reason: Why there is no optimum.
    """

    value: float | None
    nll: float | None
    reason: str | None


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found; `to_dict` is what `calibench evaluate --json` prints.

    Attributes:
        n: How many examples.
        num_classes: How many classes.
        level: Of the intervals.
        replicates: How many data sets were redrawn for the floors.
        measurements: By name.
        temperature: The diagnosis by temperature.
        verdict: One to three plain sentences.
        total_weight: How many examples there are by their weights; None without.
    """

    n: int
    num_classes: int
    level: float
    replicates: int
    measurements: Mapping[str, Measurement]
    temperature: TemperatureDiagnosis
    verdict: str
    total_weight: int | float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        metrics = {name: m.to_dict() for name, m in self.measurements.items()}
        weight = (
            {} if self.total_weight is None else {"total_weight": self.total_weight}
        )
        return {
            "n": self.n,
            **weight,
            "num_classes": self.num_classes,
            "accuracy": metrics["accuracy"]["value"],
            "nll": metrics["nll"]["value"],
            "brier": metrics["brier"]["value"],
            "level": self.level,
            "replicates": self.replicates,
            "metrics": metrics,
            "temperature": {
                "value": self.temperature.value,
                "nll": self.temperature.nll,
                "reason": self.temperature.reason,
            },
            "verdict": self.verdict,
        }

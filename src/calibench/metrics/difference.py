"""A difference between two numbers, with all that is needed to read it."""

import math
from dataclasses import dataclass
from typing import Any

from calibench.metrics.definitions import Definition
from calibench.metrics.intervals import Interval


@dataclass(frozen=True)
class Difference:
    """The same number of two sets of predictions on the same examples.

    Attributes:
        first: The number of the first set; NaN if left out: the definition says why.
        second: That of the second.
        value: `second` minus `first`; None where both are infinite or left out.
        interval: A confidence interval for it, or None: the definition says why.
        p_value: Two-sided, that there is no difference; None like the interval.
        definition: Of the number; its `interval` is the method of this comparison.
        p_adjusted: The p-value by Holm over all pairs of sets, if there are several.
    """

    first: float
    second: float
    value: float | None
    interval: Interval | None
    p_value: float | None
    definition: Definition
    p_adjusted: float | None = None

    def is_clear(self, level: float) -> bool:
        """Whether the p-value, adjusted if it is, is at most 1 - level."""
        p_value = self.p_value if self.p_adjusted is None else self.p_adjusted
        return p_value is not None and p_value <= 1 - level

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON, which has no infinity: that becomes None."""
        return {
            "first": _finite(self.first),
            "second": _finite(self.second),
            "difference": _finite(self.value),
            "interval": self.interval and list(self.interval),
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "definition": self.definition.to_dict(),
        }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

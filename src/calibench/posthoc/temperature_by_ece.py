"""The temperature with the least ECE on a grid, as much published code chooses it."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from calibench.binning import equal_width, summarize
from calibench.errors import FitError
from calibench.options import whole_number
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.parameters import require_temperature
from calibench.posthoc.temperature import Temperature
from calibench.predictions import Predictions


@dataclass(frozen=True)
class TemperatureByEce(Temperature):
    """Divides logits by the temperature of a grid that has the least ECE.

    Here to repeat published numbers and to see what the choice does. ECE jumps as
    examples cross the edges of bins, is blind to direction within a bin and ignores
    refinement, so the outcome moves with the sample more than that of `Temperature`,
    and its NLL may be above that of the predictions as they are.

    Example:
        >>> round(TemperatureByEce(2.0).value, 1)
        2.0
    """

    method: ClassVar = "temperature_by_ece"

    @classmethod
    def fit(
        cls,
        predictions: Predictions,
        *,
        num_bins: int = 15,
        num_steps: int = 100,
        highest: float = 10.0,
    ) -> "TemperatureByEce":
        """Try the temperatures highest * k / num_steps, k = 1, 2, ..., num_steps.

        Of several with the same ECE the least is taken.

        Args:
            predictions: Of the calibration split.
            num_bins: Of equal width, as of `metrics.top_label_ece`.
            num_steps: How many temperatures.
            highest: The last of them.

        Raises:
            LeakageError: The predictions are of the test split.
            ParameterError: A number is below 1, or `highest` is not above 0.
            FitError: All have the same ECE, as where all logits are equal.

        Source:
            Mukhoti et al. 2020, appendix: steps of 0.1 up to 10.
        """
        whole_number(num_steps, "num_steps", 1)
        require_temperature(highest)
        fitted_on = FittingSet.of(predictions, cls.method)
        some = predictions.present
        grid = highest * np.arange(1, num_steps + 1) / num_steps
        errors = [_ece(some, float(each), num_bins) for each in grid]
        if min(errors) == max(errors) and num_steps > 1:
            msg = (
                f"{cls.method} has no optimum: ECE is the same at every temperature. "
                "Check that the logits are the right columns."
            )
            raise FitError(msg)
        return cls(float(grid[np.argmin(errors)]), fitted_on=fitted_on)


def _ece(some: Predictions, temperature: float, num_bins: int) -> float:
    scaled = replace(some, kind="logits", values=some.logits / temperature)
    bins = equal_width(scaled.confidence, num_bins)
    found = summarize(bins, scaled.confidence, some.correct, some.weights)
    return float(found.count @ np.abs(found.gap) / found.count.sum())

"""Temperature scaling."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from calibench.errors import FitError
from calibench.posthoc.calibrator import Calibrator, keeping_predicted
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.parameters import number, require_temperature
from calibench.predictions import Matrix, Predictions
from calibench.signatures import of_predictions

# The inverse temperature is sought within a factor of e^200 of the scale of the logits;
# no data set of float64 logits has its optimum beyond, short of having none.
_LOG_RANGE = 200.0
_STEPS = 300
_TOLERANCE = 1e-13


@dataclass(frozen=True)
class Temperature(Calibrator):
    """Divides logits by a positive constant; never changes the predicted class.

    Attributes:
        value: T, finite and above 0. Above 1 it lowers every confidence.

    Example:
        >>> Temperature(2.0)(np.array([[2.0, 4.0]])).tolist()
        [[1.0, 2.0]]
    """

    value: float

    method: ClassVar = "temperature"
    keeps_predicted: ClassVar = True
    parameters: ClassVar = {"value": number}

    def __post_init__(self) -> None:
        require_temperature(self.value)

    @classmethod
    def fit(cls, predictions: Predictions) -> "Temperature":
        """Find the temperature with the lowest NLL.

        The NLL of logits u * z is convex in u = 1 / T with derivative
        mean(E_softmax(uz)[z] - z_label), whose root is bracketed and then found by
        Newton's method in ln u, falling back on bisection: no learning rate, no grid,
        T above 0 by construction. At the optimum the mean NLL equals the mean entropy.

        Each example counts as often as its weight says, here and in every calibrator.

        Raises:
            LeakageError: The predictions are of the test split.
            FitError: There is no finite optimum: every label has the largest logit, so
                that the NLL falls towards T = 0; or the logits tell nothing about the
                labels, so that it falls towards T = infinity; or they are all equal,
                so that no temperature matters; or a label has probability 0, so that
                it is infinite.

        Source:
            Guo et al. 2017, section 4.2.
        """
        fitted_on = FittingSet.of(predictions, cls.method)
        return cls(optimal_temperature(predictions), fitted_on=fitted_on)

    def __call__(self, logits: Any) -> Any:  # noqa: ANN401 - a numpy array or torch tensor
        """Divide logits by the temperature: an array in, the same kind of array out."""
        return logits / self.value

    def _calibrated(self, predictions: Predictions) -> Matrix:
        # Division may round the two largest logits to one.
        return keeping_predicted(predictions.logits / self.value, predictions)


@of_predictions
def optimal_temperature(predictions: Predictions) -> float:
    """The temperature with the lowest NLL on these predictions, as a diagnosis.

    Above 1 they are over-confident. It describes a split, the test split as well; to
    *use* a temperature, fit one on another split with `Temperature.fit`.

    Raises:
        FitError: As for `Temperature.fit`.

    Example:
        >>> some = Predictions.from_logits([[4.0, 0.0]] * 4, [0, 0, 0, 1])
        >>> round(optimal_temperature(some) * math.log(3), 12)
        4.0
    """
    return 1 / math.exp(_optimal_log_inverse(predictions))


def _optimal_log_inverse(predictions: Predictions) -> float:
    predictions = predictions.present
    weights = predictions.weights
    # Shifted so that the largest logit of a row is 0, and scaled to a mean depth of 1:
    # neither moves the optimum of u times its scale.
    logits = predictions.logits - predictions.logits.max(axis=1, keepdims=True)
    depth = -logits[np.arange(len(logits)), predictions.labels]
    _refuse_without_optimum(predictions, logits, depth)
    finite = np.where(np.isfinite(logits), logits, 0.0)
    scale = float(-finite.mean())
    low, high = -_LOG_RANGE, _LOG_RANGE
    scaled, target = finite / scale, float(-np.average(depth, weights=weights) / scale)
    support = logits > -np.inf
    position = 0.0
    for _ in range(_STEPS):
        mean, variance = _moments(scaled, support, math.exp(position))
        slope = float(np.average(mean, weights=weights)) - target
        curvature = math.exp(position) * float(np.average(variance, weights=weights))
        low, high = (position, high) if slope < 0 else (low, position)
        step = -slope / curvature if curvature > 0 else math.inf
        if abs(step) < _TOLERANCE or high - low < _TOLERANCE:
            break
        position += step
        if not low < position < high:
            position = (low + high) / 2
    return position - math.log(scale)


def _moments(
    logits: Float64[np.ndarray, "examples classes"],
    support: np.ndarray,
    inverse: float,
) -> tuple[Float64[np.ndarray, " examples"], Float64[np.ndarray, " examples"]]:
    """Mean and variance of the logits under the softmax, for each example.

    Their means are the slope of the NLL in u, up to the target, and the derivative of
    the slope in ln u, up to u.
    """
    probs = np.where(support, np.exp(inverse * logits), 0.0)
    probs /= probs.sum(axis=1, keepdims=True)
    mean = (probs * logits).sum(axis=1)
    return mean, (probs * logits**2).sum(axis=1) - mean**2


def _refuse_without_optimum(
    predictions: Predictions,
    logits: Float64[np.ndarray, "examples classes"],
    depth: Float64[np.ndarray, " examples"],
) -> None:
    about = f"on these {predictions.num_examples:,} predictions"
    if not np.isfinite(depth).all():
        row = int(np.argmin(np.isfinite(depth)))
        msg = (
            f"temperature has no optimum {about}: row {row} (counted from 0) gives its "
            "label probability 0, so the NLL is infinite at every temperature. Give "
            "logits instead of rounded probabilities."
        )
        raise FitError(msg)
    if not logits.any():
        msg = (
            f"temperature has no single optimum {about}: the logits of each are all "
            "equal, so the NLL is the same at every temperature. Check that they are "
            "the right columns."
        )
        raise FitError(msg)
    if not depth.any():
        msg = (
            f"temperature has no finite optimum {about}: every label has the largest "
            "logit, so the NLL falls all the way to T = 0. Fit on more, or on "
            "held-out, examples."
        )
        raise FitError(msg)
    flat = np.where(np.isfinite(logits), logits, np.nan)
    weights = predictions.weights
    uniform = np.average(np.nanmean(flat, axis=1), weights=weights)
    if uniform >= -np.average(depth, weights=weights):
        msg = (
            f"temperature has no finite optimum {about}: labels have no higher logits "
            "than other classes on average, so the NLL falls all the way to T = "
            "infinity. Check that labels and predictions are in the same order."
        )
        raise FitError(msg)

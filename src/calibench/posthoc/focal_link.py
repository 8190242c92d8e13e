"""The focal link: from what focal loss is minimized by to probabilities."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from calibench.errors import FitError
from calibench.posthoc.calibrator import Calibrator, keeping_predicted
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.parameters import (
    flag,
    number,
    require_at_least_zero,
    require_temperature,
)
from calibench.posthoc.temperature import optimal_temperature
from calibench.predictions import Matrix, Predictions


@dataclass(frozen=True)
class FocalLink(Calibrator):
    """Undoes the under-confidence that focal loss asks for, then scales.

    Where the true posterior is eta, focal loss is minimized by a softmax p with
    eta_k proportional to p_k / phi(p_k),
    phi(p) = (1 - p)^gamma [1 + gamma p (-ln p) / (1 - p)];
    with a detached weight phi(p) = (1 - p)^gamma. The calibrated logits are
    ln(p_k / phi(p_k)) / T. The predicted class never changes. With gamma = 0 it is
    temperature scaling; with T = 1 it is the exact inverse.

    Attributes:
        gamma: The focusing parameter of the loss, at least 0.
        temperature: T, finite and above 0.
        detached: Whether the loss kept its weight out of the gradient.

    Example:
        >>> link = FocalLink(gamma=1.0, temperature=1.0, detached=True)
        >>> np.exp(link(np.log([[0.75, 0.25]]))).round(12).tolist()  # 3 : 1/3
        [[1.0, 0.111111111111]]
    """

    gamma: float
    temperature: float
    detached: bool = False

    method: ClassVar = "focal_link"
    keeps_predicted: ClassVar = True
    parameters: ClassVar = {"gamma": number, "temperature": number, "detached": flag}

    def __post_init__(self) -> None:
        require_at_least_zero(self.gamma, "gamma")
        require_temperature(self.temperature)

    @classmethod
    def fit(
        cls, predictions: Predictions, *, gamma: float, detached: bool = False
    ) -> "FocalLink":
        """Find the temperature after the link that has the lowest NLL.

        The NLL never ends above that of the link alone. It may be above that of the
        predictions as they are, if they do not come from focal loss with this gamma.

        Args:
            predictions: Of a model trained with focal loss.
            gamma: That of the loss.
            detached: As of the loss.

        Raises:
            LeakageError: The predictions are of the test split.
            FitError: No temperature is best, as for `Temperature.fit`.
            ParameterError: gamma is not a finite number that is at least 0.

        Source:
            The optimum: Charoenphakdee et al. 2021, theorem 3, and for the detached
            weight by the same argument. A temperature outside the link keeps the fit
            convex; Komisarenko and Kull 2024 place theirs inside.
        """
        require_at_least_zero(gamma, "gamma")
        fitted_on = FittingSet.of(predictions, cls.method)
        values = focal_inverse(predictions, gamma, detached)
        linked = replace(predictions, kind="logits", values=values)
        try:
            temperature = optimal_temperature(linked)
        except FitError as error:
            msg = f"{cls.method} has no optimum, because {error}"
            raise FitError(msg) from error
        return cls(gamma, temperature, detached, fitted_on=fitted_on)

    def _calibrated(self, predictions: Predictions) -> Matrix:
        linked = focal_inverse(predictions, self.gamma, self.detached)
        return keeping_predicted(linked / self.temperature, predictions)


def focal_inverse(
    predictions: Predictions,
    gamma: float,
    detached: bool,  # noqa: FBT001 - as the attribute
) -> Matrix:
    """Return ln(p_k / phi(p_k)), less a constant for each example.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25]], [0])
        >>> np.diff(focal_inverse(some, 0.0, True)).round(6).tolist()  # -ln 3
        [[-1.098612]]
    """
    rows, top = np.arange(predictions.num_examples), predictions.predicted
    log_p = predictions.log_probs
    # 1 - p is exact for all classes but the predicted one, whose log-odds keep it.
    log_q = np.log1p(-np.minimum(np.exp(log_p), 0.5))
    log_q[rows, top] = -np.logaddexp(0, predictions.log_odds)
    log_p = log_p.copy()
    log_p[rows, top] = -np.logaddexp(0, -predictions.log_odds)
    linked = log_p - gamma * log_q if gamma else log_p
    if gamma and not detached:
        linked -= np.log1p(gamma * _surprise(log_p, log_q))
    # Infinite where the others have probability 0: then the predicted class is certain.
    certain = np.isinf(linked[rows, top])
    linked -= np.where(certain, 0.0, linked[rows, top])[:, None]
    linked[certain] = -np.inf
    linked[rows[certain], top[certain]] = 0.0
    return linked


def _surprise(log_p: Matrix, log_q: Matrix) -> Matrix:
    """Return p (-ln p) / (1 - p), which goes to 0 with p and to 1 with 1 - p."""
    p, q = np.exp(log_p), np.exp(log_q)
    with np.errstate(invalid="ignore"):
        numerator = np.where(p > 0, -p * log_p, 0.0)
    # Below 1e-12 the limit is right to within rounding, and q may be 0.
    return np.where(q > 1e-12, numerator / np.maximum(q, 1e-12), 1.0)

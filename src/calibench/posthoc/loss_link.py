"""Inverse links of losses: from what they are minimized by to probabilities."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from calibench.errors import DataError, FitError, ParameterError
from calibench.posthoc.calibrator import Calibrator, keeping_predicted
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.links import LINKS
from calibench.posthoc.parameters import number, require_at_least_zero
from calibench.posthoc.temperature import optimal_temperature
from calibench.predictions import Matrix, Predictions
from calibench.validation import member


def _kind(given: object, name: str) -> str:
    if not isinstance(given, str):
        msg = f"{name} must be text, got {given!r:.80}."
        raise DataError(msg)
    return given


@dataclass(frozen=True)
class LossLink(Calibrator):
    """Undoes what a loss that is not proper asks for, then scales.

    The calibrated logits are ln(max(eta, floor)) / T, eta the posterior whose expected
    loss the logits minimize (`links`), normalized. The predicted class never changes.
    With strength 0 it is temperature scaling; with T = 1 and a small floor it is the
    exact inverse. Focal loss has `FocalLink`; proper losses need none.

    Attributes:
        kind: Of the loss: "label_smoothing" (eps over all classes), "entropy" (alpha),
            "lp_norm" (alpha, p = 2), "squentropy" (alpha), "logit_norm" (tau) or
            "dual_focal" (gamma).
        strength: That parameter of the loss, at least 0; above 0 for LogitNorm.
        temperature: T, finite and above 0.
        floor: The least posterior of a class, in (0, 1): what a network put below the
            range of the loss would else have none, and an infinite NLL.

    Example:
        >>> link = LossLink("label_smoothing", 0.5, temperature=1.0)
        >>> np.exp(link(np.log([[0.625, 0.375]]))).round(9).tolist()  # 3 : 1
        [[0.75, 0.25]]
    """

    kind: str
    strength: float
    temperature: float
    floor: float = 1e-6

    method: ClassVar = "loss_link"
    keeps_predicted: ClassVar = True
    parameters: ClassVar = {
        "kind": _kind,
        "strength": number,
        "temperature": number,
        "floor": number,
    }

    def __post_init__(self) -> None:
        _check(self.kind, self.strength, self.floor)
        if not 0 < self.temperature < math.inf:
            msg = f"temperature must be above 0 and finite, got {self.temperature}."
            raise ParameterError(msg)

    @classmethod
    def fit(
        cls,
        predictions: Predictions,
        *,
        kind: str,
        strength: float,
        floor: float = 1e-6,
    ) -> "LossLink":
        """Find the temperature after the link that has the lowest NLL.

        Args:
            predictions: Of a model trained with that loss.
            kind: Of the loss.
            strength: Its parameter.
            floor: The least posterior of a class.

        Raises:
            LeakageError: The predictions are of the test split.
            FitError: No temperature is best, as for `Temperature.fit`.
            DataError: The link needs logits, and these are probabilities.
            ParameterError: There is no link of that kind, or a number is out of range.
        """
        _check(kind, strength, floor)
        fitted_on = FittingSet.of(predictions, cls.method)
        values = inverse(predictions, kind, strength, floor)
        linked = replace(predictions, kind="logits", values=values)
        try:
            temperature = optimal_temperature(linked)
        except FitError as error:
            msg = f"{cls.method} has no optimum, because {error}"
            raise FitError(msg) from error
        return cls(kind, strength, temperature, floor, fitted_on=fitted_on)

    def _calibrated(self, predictions: Predictions) -> Matrix:
        linked = inverse(predictions, self.kind, self.strength, self.floor)
        return keeping_predicted(linked / self.temperature, predictions)


def inverse(
    predictions: Predictions, kind: str, strength: float, floor: float
) -> Matrix:
    """Return ln eta of each class, eta normalized and at least the floor."""
    if strength == 0:
        return np.maximum(predictions.log_probs, math.log(floor))
    eta = np.maximum(LINKS[kind](predictions, strength), 0)
    total = eta.sum(axis=1, keepdims=True)
    # A row far from any optimum may leave no class above 0; then it stays as it is.
    eta = np.where(total > 0, eta / np.where(total > 0, total, 1), predictions.probs)
    return np.log(np.maximum(eta, floor))


def _check(kind: str, strength: float, floor: float) -> None:
    member(kind, tuple(LINKS), "kind of link")
    require_at_least_zero(strength, "strength")
    if kind == "logit_norm" and strength == 0:
        msg = "strength of logit_norm is its tau, which must be above 0."
        raise ParameterError(msg)
    if not 0 < floor < 1:
        msg = f"floor must be in (0, 1), got {floor}."
        raise ParameterError(msg)

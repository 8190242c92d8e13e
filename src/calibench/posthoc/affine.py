"""Fit an affine map of the classes' logits by penalized NLL."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calibench.errors import DataError, FitError
from calibench.posthoc.newton import Local, Parameters, minimize
from calibench.posthoc.temperature import optimal_temperature
from calibench.predictions import Labels, Matrix, Predictions
from calibench.weights import Weights

# A parameter that costs so much ends where no float64 logit shows it: it is left at 0.
_PROHIBITIVE = 1e16


@dataclass(frozen=True, eq=False)
class AffineNLL:
    """Mean NLL of softmax(W x + b), plus a quadratic penalty.

    Parameters are rows (w_k, b_k) where W is diagonal, else (W_k1, ..., W_kK, b_k).

    Attributes:
        inputs: x, one row per example.
        labels: The classes.
        penalty: What the square of each parameter costs, in the shape of parameters.
            From 1e16 on the parameter stays at 0.
        weights: How often each example counts; None for once.
    """

    inputs: Matrix
    labels: Labels
    penalty: Parameters
    weights: Weights | None = None

    @cached_property
    def is_free(self) -> Parameters:
        """1 for each parameter, but 0 where its penalty is prohibitive."""
        return (self.penalty < _PROHIBITIVE).astype(np.float64)

    @cached_property
    def cost(self) -> Parameters:
        """The penalty of the free parameters."""
        return np.where(self.is_free > 0, self.penalty, 0.0)

    @property
    def is_diagonal(self) -> bool:
        """Whether each logit depends on its own input only."""
        return self.penalty.shape[1] == 2

    def forward(self, point: Parameters) -> Matrix:
        """Return W x + b."""
        return affine_map(self.inputs, point[:, :-1], point[:, -1])

    def value(self, point: Parameters) -> float:
        log_probs = _log_softmax(self.forward(point))
        return self._nll(log_probs) + float((self.cost * point**2).sum())

    def at(self, point: Parameters) -> Local:
        log_probs = _log_softmax(self.forward(point))
        probs = np.exp(log_probs)
        excess = probs.copy()
        excess[np.arange(len(excess)), self.labels] -= 1

        def curvature(direction: Parameters) -> Parameters:
            moved = self.forward(direction)
            mean = np.einsum("ek,ek->e", probs, moved)
            bend = self._adjoint(probs * (moved - mean[:, None]))
            return bend + 2 * self.cost * direction

        return Local(
            value=self._nll(log_probs) + float((self.cost * point**2).sum()),
            gradient=self._adjoint(excess) + 2 * self.cost * point,
            curvature=curvature,
        )

    def reach(self, step: Parameters) -> float:
        return float(np.ptp(self.forward(step), axis=1).max())

    def _nll(self, log_probs: Matrix) -> float:
        of_labels = log_probs[np.arange(len(log_probs)), self.labels]
        return float(-np.average(of_labels, weights=self.weights))

    def _adjoint(self, change: Matrix) -> Parameters:
        if self.weights is not None:
            change = change * (self.weights / self.weights.mean())[:, None]
        if self.is_diagonal:
            weights = np.einsum("ek,ek->k", change, self.inputs)[:, None]
        else:
            weights = change.T @ self.inputs
        sums = np.hstack([weights, change.sum(axis=0)[:, None]])
        return self.is_free * sums / len(change)


def affine_map(inputs: Matrix, weights: np.ndarray, intercepts: np.ndarray) -> Matrix:
    """Return W x + b for every row x; weights of one column are a diagonal W."""
    if weights.shape[1] == 1:
        return inputs * weights[:, 0] + intercepts
    return inputs @ weights.T + intercepts


def fit_affine(
    inputs: Matrix, predictions: Predictions, penalty: Parameters, method: str
) -> Parameters:
    """Find the affine map of the inputs with the lowest penalized NLL.

    It starts from the best temperature, which is in the family and free of penalty,
    so that the NLL never ends above that of the temperature, nor of the identity.

    Args:
        inputs: Logits or log-probabilities of the predictions, finite.
        predictions: With the labels, and weights above 0 if there are weights.
        penalty: As of `AffineNLL`.
        method: Whose fit this is, for errors.

    Raises:
        FitError: A class has no example, or there is no minimum.
    """
    _refuse_absent_classes(predictions, method)
    scale, start = _scale_and_start(predictions, method)
    columns = np.full(penalty.shape[1], scale)
    columns[-1] = 1.0
    # Tiny logits make tiny penalties prohibitive: their square may overflow.
    with np.errstate(over="ignore"):
        scaled = penalty * columns * columns
    point = np.zeros_like(penalty)
    own = np.arange(len(point)) if penalty.shape[1] > 2 else np.zeros(len(point), int)
    point[np.arange(len(point)), own] = start
    try:
        with np.errstate(over="raise", invalid="raise"):
            objective = AffineNLL(
                inputs * scale, predictions.labels, scaled, predictions.weights
            )
            return minimize(objective, point) * columns
    except (FitError, FloatingPointError) as error:
        reason = error
        if isinstance(error, FloatingPointError):
            reason = FitError("they differ by too little, or too much, for float64.")
        msg = (
            f"{method} has no finite optimum on these "
            f"{predictions.num_examples:,} predictions: {reason} Fit on more examples, "
            "penalize more, or take fewer parameters (temperature)."
        )
        raise FitError(msg) from error


def finite_logits(predictions: Predictions, method: str) -> Matrix:
    """Return the logits, which a weighted sum needs to be finite.

    Raises:
        DataError: A probability was given as 0.
    """
    finite = np.isfinite(predictions.logits).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        msg = (
            f"{method} needs logarithms of probabilities, and row {row} (counted from "
            "0) has a probability of 0. Give logits; or take temperature, histogram "
            "binning or isotonic, which accept 0."
        )
        raise DataError(msg)
    return predictions.logits


def _scale_and_start(predictions: Predictions, method: str) -> tuple[float, float]:
    logits = predictions.logits - predictions.logits.max(axis=1, keepdims=True)
    weights, mean = predictions.weights, logits.mean(axis=1)
    of_labels = logits[np.arange(len(logits)), predictions.labels]
    if not logits.any():
        return 1.0, 0.0
    if np.average(of_labels, weights=weights) <= np.average(mean, weights=weights):
        # The best inverse temperature is 0, which is in the family too.
        return float(-1 / logits.mean()), 0.0
    try:
        return 1 / optimal_temperature(predictions), 1.0
    except FitError as error:
        msg = f"{method} has no finite optimum, because {error}"
        raise FitError(msg) from error


def _refuse_absent_classes(predictions: Predictions, method: str) -> None:
    counts = np.bincount(predictions.labels, minlength=predictions.num_classes)
    absent = np.flatnonzero(counts == 0)
    if len(absent):
        msg = (
            f"{method} needs examples of every class, and {len(absent)} of "
            f"{len(counts)} have none (the first is class {absent[0]}): the NLL falls "
            "for ever as their probability goes to 0. Fit on more examples, or take "
            "fewer parameters (temperature)."
        )
        raise FitError(msg)


def _log_softmax(logits: Matrix) -> Matrix:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

"""From what a loss is minimized by to the posterior: one function for each loss.

Where a label is drawn from the posterior eta, the logits that minimize the expected
loss are not ln eta unless the loss is proper. Where the derivative of the expected loss
can be solved for eta, the solution inverts the training. At the optimum each function
returns eta up to a common factor; elsewhere a class that was put below what the loss
asks of any class gets 0 or less.
"""

from collections.abc import Callable

import numpy as np

from calibench.errors import DataError
from calibench.predictions import Matrix, Predictions

# The squared length at which LogitNorm stops to divide.
_SHORTEST = 1e-6


def smoothed(predictions: Predictions, eps: float) -> Matrix:
    """Return p_k - eps / K: smoothing aims at (1 - eps) eta + eps / K.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25]], [0])
        >>> smoothed(some, 0.5).tolist()
        [[0.5, 0.0]]
    """
    return predictions.probs - eps / predictions.num_classes


def entropy_regularized(predictions: Predictions, alpha: float) -> Matrix:
    """Return p_k [1 + alpha (ln p_k + H(p))], which sums to 1."""
    p, log_p = predictions.probs, _finite(predictions.log_probs)
    entropy = -(p * log_p).sum(axis=1, keepdims=True)
    return p * (1 + alpha * (log_p + entropy))


def norm_regularized(predictions: Predictions, alpha: float) -> Matrix:
    """Return p_k + alpha z_k / |z|: of the Euclidean norm, which sees a shift.

    A norm has no link where its gradient jumps: here at zero logits, the optimum of
    posteriors near 1 / K, and for p = 1 at every logit of 0, which that norm aims at.

    Raises:
        DataError: The predictions are probabilities, which do not tell the shift.
    """
    logits = _logits(predictions, "the link of the L2 norm")
    length = np.linalg.norm(logits, axis=1, keepdims=True)
    return predictions.probs + alpha * logits / np.where(length > 0, length, 1)


def square_regularized(predictions: Predictions, alpha: float) -> Matrix:
    """Return (p_k + s_k) / (1 + s_k), s_k = 2 alpha z_k / (K - 1), of squentropy.

    Raises:
        DataError: The predictions are probabilities, which do not tell the shift.
    """
    logits = _logits(predictions, "the link of squentropy")
    pull = 2 * alpha * logits / (predictions.num_classes - 1)
    # At the optimum 1 + s_k is above 0; below it a network has overshot.
    room = np.maximum(1 + pull, np.finfo(float).tiny)
    return np.where(1 + pull > 0, (predictions.probs + pull) / room, 0.0)


def normalized(predictions: Predictions, tau: float) -> Matrix:
    """Return the softmax of z / (tau |z|), the probabilities that LogitNorm trains.

    Raises:
        DataError: The predictions are probabilities, which do not tell the length.
    """
    logits = _logits(predictions, "the link of LogitNorm")
    length = np.sqrt((logits**2).sum(axis=1, keepdims=True) + _SHORTEST)
    divided = logits / (tau * length)
    return np.exp(divided - divided.max(axis=1, keepdims=True))


def dual_focused(predictions: Predictions, gamma: float) -> Matrix:
    """Return eta of dual focal loss, class by class from the likeliest down.

    With probabilities in descending order, w_r = 1 - p_r + p_(r+1) and
    s_r = -gamma w_r^(gamma - 1) ln p_r, the expected loss is stationary where
    eta_r (w_r^gamma / p_r + s_r) - eta_(r-1) s_(r-1) is the same for every r: a
    recursion. Equal probabilities are taken one after the other.
    """
    order = np.argsort(-predictions.probs, axis=1, kind="stable")
    p = np.take_along_axis(predictions.probs, order, axis=1)
    p = np.maximum(p, np.finfo(float).tiny)
    behind = np.hstack([p[:, 1:], np.zeros((len(p), 1))])
    # 1 - p_r as the sum of the others keeps its digits near 1.
    total = p.sum(axis=1, keepdims=True)
    lead = np.maximum(total - p + behind, np.finfo(float).tiny)
    lead[:, 0] = p[:, 1:].sum(axis=1) + behind[:, 0]
    lead = np.maximum(lead, np.finfo(float).tiny)
    slope = -gamma * lead ** (gamma - 1) * np.log(p)
    own = lead**gamma / p + slope
    eta = np.empty_like(p)
    carried = np.zeros(len(p))
    for rank in range(p.shape[1]):
        eta[:, rank] = (1 + carried) / own[:, rank]
        carried = eta[:, rank] * slope[:, rank]
    found = np.empty_like(eta)
    np.put_along_axis(found, order, eta, axis=1)
    return found


LINKS: dict[str, Callable[[Predictions, float], Matrix]] = {
    "label_smoothing": smoothed,
    "entropy": entropy_regularized,
    "lp_norm": norm_regularized,
    "squentropy": square_regularized,
    "logit_norm": normalized,
    "dual_focal": dual_focused,
}


def _finite(log_probs: Matrix) -> Matrix:
    """Return logarithms with 0 for those of 0, which are multiplied by 0."""
    return np.where(np.isfinite(log_probs), log_probs, 0.0)


def _logits(predictions: Predictions, what: str) -> Matrix:
    if predictions.kind != "logits":
        msg = f"{what} needs logits: probabilities are the same for shifted ones."
        raise DataError(msg)
    return predictions.values

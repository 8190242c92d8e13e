"""Calibration of more than the predicted class: of the k most probable ones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench.binning import Binning, lay, summarize
from calibench.errors import ParameterError
from calibench.metrics.calibration_error import mean_size
from calibench.options import whole_number
from calibench.predictions import Predictions
from calibench.signatures import of_predictions

# The k of the panel, where there are more classes than that.
USUAL_K = 5


@dataclass(frozen=True, eq=False)
class Claims:
    """A claimed probability for each example, and whether what it is for came true.

    Attributes:
        confidence: The claims.
        correct: Whether each came true.
        of: The predictions, whose weights are above 0.
    """

    confidence: Float64[np.ndarray, " examples"]
    correct: Bool[np.ndarray, " examples"]
    of: Predictions


@of_predictions
def top_k_ece(
    some: Predictions,
    *,
    k: int,
    num_bins: int = 15,
    scheme: str | Binning = "equal_width",
) -> float:
    """Expected calibration error of "the label is among the k most probable classes".

    The sum of the k largest probabilities is binned and compared with the share of
    labels among those classes. Of equal logits or probabilities the lowest classes come
    first, as for the predicted class. With k = 1 it is `top_label_ece`, with k = K it
    is 0.

    Args:
        some: The predictions.
        k: How many classes, from 1 to K.
        num_bins: How many bins.
        scheme: "equal_width", "equal_mass", or a binning function.

    Returns:
        A fraction in [0, 1].

    Raises:
        ParameterError: `k` is not in 1..K, `num_bins` is below 1, or there is no such
            scheme.

    Source:
        Gupta et al. 2021, section 2 ("within-top-r"), whose error is not binned.

    Example:
        The two likeliest classes claim 0.75 and 0.5 + 0.25, and hold one label of two.

        >>> rows = [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]
        >>> top_k_ece(Predictions.from_probs(rows, [1, 2]), k=2)
        0.25
    """
    return _error(among_top(some, k), num_bins, scheme)


@of_predictions
def kth_class_ece(
    some: Predictions,
    *,
    k: int,
    num_bins: int = 15,
    scheme: str | Binning = "equal_width",
) -> float:
    """Expected calibration error of the class of rank k alone.

    The k-th largest probability is binned and compared with the share of labels that
    are that very class. Of equal logits or probabilities the lowest class comes first.
    With k = 1 it is `top_label_ece`.

    Args:
        some: The predictions.
        k: The rank, from 1 to K.
        num_bins: How many bins.
        scheme: "equal_width", "equal_mass", or a binning function.

    Returns:
        A fraction in [0, 1]; at most 1 / k + the share of labels of that rank.

    Raises:
        ParameterError: `k` is not in 1..K, `num_bins` is below 1, or there is no such
            scheme.

    Source:
        Gupta et al. 2021, section 2 ("r-th top"), whose error is not binned; one rank
        of what Gupta and Ramdas 2022 call top-K-confidence calibration.

    Example:
        >>> rows = [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]
        >>> kth_class_ece(Predictions.from_probs(rows, [1, 2]), k=2)
        0.25
    """
    return _error(of_rank(some, k), num_bins, scheme)


def among_top(some: Predictions, k: int) -> Claims:
    """That the label is among the k most probable classes.

    Raises:
        ParameterError: `k` is not in 1..K.
    """
    _check_rank(k, some.num_classes)
    some = some.present
    # Sums in descending order have the same bits for every order of the classes; those
    # of all classes may round to above 1.
    total = _largest(some, k)[:, ::-1].cumsum(axis=1)[:, -1]
    return Claims(np.minimum(total, 1.0), _label_rank(some) < k, some)


def of_rank(some: Predictions, k: int) -> Claims:
    """That the label is the class of rank k.

    Raises:
        ParameterError: `k` is not in 1..K.
    """
    _check_rank(k, some.num_classes)
    some = some.present
    return Claims(_largest(some, k)[:, 0].copy(), _label_rank(some) == k - 1, some)


def panel_k(num_classes: int) -> int:
    """The k of the panel: 5, or all classes but one where there are no more than 5."""
    return min(USUAL_K, num_classes - 1)


def _error(claims: Claims, num_bins: int, scheme: str | Binning) -> float:
    weights = claims.of.weights
    bins = lay(scheme, claims.confidence, num_bins, weights)
    stats = summarize(bins, claims.confidence, claims.correct, weights)
    return float(mean_size(stats))


def _check_rank(k: int, num_classes: int) -> None:
    if not 1 <= whole_number(k, "k") <= num_classes:
        msg = f"k must be from 1 to the {num_classes} classes, got {k}."
        raise ParameterError(msg)


def _largest(some: Predictions, k: int) -> Float64[np.ndarray, "examples k"]:
    """The k largest probabilities, ascending."""
    first = some.num_classes - k
    largest = np.partition(some.probs, first, axis=1)[:, first:]
    return np.sort(largest, axis=1)


def _label_rank(some: Predictions) -> Int64[np.ndarray, " examples"]:
    """How many classes come before the label."""
    own = some.values[np.arange(some.num_examples), some.labels][:, None]
    lower = np.arange(some.num_classes) < some.labels[:, None]
    ahead = (some.values > own) | ((some.values == own) & lower)
    return np.count_nonzero(ahead, axis=1).astype(np.int64, copy=False)

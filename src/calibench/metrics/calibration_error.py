"""Binned calibration errors of the predicted class.

Each is a functional of one summary of bins, so several cost one pass: see `panel`. The
functionals pass leading axes of a summary on, so the same code scores a thousand
resampled data sets: see `floor`.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from calibench.binning import Binning, BinStats, lay, summarize
from calibench.errors import DataError
from calibench.predictions import UNCOUNTED, Predictions
from calibench.signatures import of_predictions

Error: TypeAlias = Float64[np.ndarray, "*batch"]
Functional: TypeAlias = Callable[[BinStats], Error]


def mean_size(stats: BinStats) -> Error:
    """Weighted mean of |gap|."""
    return np.asarray((stats.weight * np.abs(stats.gap)).sum(axis=-1))


def mean_excess(stats: BinStats) -> Error:
    """Weighted mean of the positive part of the gap."""
    return np.asarray((stats.weight * np.maximum(stats.gap, 0)).sum(axis=-1))


def mean_shortfall(stats: BinStats) -> Error:
    """Weighted mean of the negative part of the gap, as a positive number."""
    return np.asarray((stats.weight * np.maximum(-stats.gap, 0)).sum(axis=-1))


def root_mean_square(stats: BinStats) -> Error:
    """Square root of the weighted mean of the squared gap."""
    return np.asarray(np.sqrt((stats.weight * stats.gap**2).sum(axis=-1)))


def largest_size(stats: BinStats) -> Error:
    """Largest |gap|, whatever the weight of its bin."""
    return np.asarray(np.abs(stats.gap).max(axis=-1))


def pair_products(stats: BinStats) -> Error:
    """Squared gap without the bias of sampling; see `debiased_l2`.

    Raises:
        DataError: The counts are sums of weights that are no whole numbers.
    """
    refuse_uncounted(stats)
    paired = stats.count > 1
    count = stats.count[paired].astype(np.float64)
    square_of_sum = (count * stats.gap[..., paired]) ** 2
    sum_of_squares = count * stats.squared_gap[..., paired]
    terms = (square_of_sum - sum_of_squares) / (count - 1)
    return np.asarray(terms.sum(axis=-1) / stats.count.sum())


def refuse_uncounted(stats: BinStats) -> None:
    """Refuse what has to know how many examples are in a bin.

    Raises:
        DataError: The counts are sums of weights that are no whole numbers.
    """
    if stats.count.dtype.kind != "i":
        msg = f"{UNCOUNTED}, and this metric counts the examples of a bin."
        raise DataError(msg)


@of_predictions
def top_label_bins(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> BinStats:
    """Summarize confidence and correctness per bin, as a reliability diagram does.

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.
    """
    some = some.present
    bins = lay(scheme, some.confidence, num_bins, some.weights)
    return summarize(bins, some.confidence, some.correct, some.weights)


@of_predictions
def top_label_ece(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> float:
    """Expected calibration error of the predicted class.

    The mean over bins of |mean confidence - accuracy|, weighted by the share of
    examples in each. It is not 0 for a calibrated model (see `noise_floor`), and does
    not say in which direction a model errs (see `overconfidence`). With
    `scheme="equal_mass"` it is what some papers call adaptive ECE.

    Args:
        some: The predictions.
        num_bins: How many bins; empty ones do not count.
        scheme: "equal_width", "equal_mass", or a binning function.

    Returns:
        A fraction in [0, 1].

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Source:
        Naeini et al. 2015; Guo et al. 2017, equation 3, whose bins are also (lo, hi].

    Example:
        >>> top_label_ece(Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1]))
        0.625
    """
    stats = top_label_bins(some, num_bins=num_bins, scheme=scheme)
    return float(mean_size(stats))


@of_predictions
def max_calibration_error(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> float:
    """Largest |mean confidence - accuracy| of a bin, in [0, 1].

    One bin with a handful of examples decides it, so its noise is large: read it only
    beside its floor.

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Source:
        Naeini et al. 2015; Guo et al. 2017, equation 5.

    Example:
        >>> max_calibration_error(
        ...     Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        ... )
        1.0
    """
    stats = top_label_bins(some, num_bins=num_bins, scheme=scheme)
    return float(largest_size(stats))


@of_predictions
def overconfidence(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> float:
    """The part of ECE from bins whose mean confidence exceeds their accuracy.

    The sum over bins of weight * (confidence - accuracy)_+, in [0, 1]. With
    `underconfidence` it adds up to ECE; their difference is `confidence_gap`.
    (Thulasidasan et al. 2019 also weight by confidence; that is another number.)

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Example:
        >>> overconfidence(Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1]))
        0.5
    """
    stats = top_label_bins(some, num_bins=num_bins, scheme=scheme)
    return float(mean_excess(stats))


@of_predictions
def underconfidence(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> float:
    """The part of ECE from bins whose accuracy exceeds their mean confidence.

    The sum over bins of weight * (accuracy - confidence)_+, in [0, 1].

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Example:
        >>> underconfidence(Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1]))
        0.125
    """
    stats = top_label_bins(some, num_bins=num_bins, scheme=scheme)
    return float(mean_shortfall(stats))


@of_predictions
def rms_calibration_error(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> float:
    """Root of the weighted mean over bins of (confidence - accuracy)^2, in [0, 1].

    Never below ECE, and like it not 0 for a calibrated model; `debiased_l2` estimates
    its square without that bias.

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Source:
        Nguyen and O'Connor 2015; Hendrycks et al. 2019.

    Example:
        >>> rms_calibration_error(
        ...     Predictions.from_probs([[1.0, 0.0], [1.0, 0.0]], [0, 1])
        ... )
        0.5
    """
    stats = top_label_bins(some, num_bins=num_bins, scheme=scheme)
    return float(root_mean_square(stats))


@of_predictions
def debiased_l2(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> float:
    """Squared calibration error without the bias of sampling; it may be negative.

    (1 / n) * sum over bins of [(sum r)^2 - sum r^2] / (n_b - 1), r = confidence -
    correct: the products of different examples of a bin, which unlike squares average
    to 0 for a calibrated model. It estimates the square of `rms_calibration_error`, and
    is reported as it is: a root would need a sign and would bring the bias back. A bin
    of one example has no pair and adds nothing.

    Returns:
        A squared fraction in [-1, 1], 0 on average if calibrated.

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Source:
        Kumar et al. 2019; the form over pairs is that of Sun et al. 2024.

    Example:
        >>> debiased_l2(Predictions.from_probs([[1.0, 0.0], [1.0, 0.0]], [0, 1]))
        0.0
    """
    stats = top_label_bins(some, num_bins=num_bins, scheme=scheme)
    return float(pair_products(stats))

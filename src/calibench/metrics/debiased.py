"""The calibration error less the part that sampling is known to add."""

import numpy as np

from calibench.binning import Binning, BinStats
from calibench.metrics.calibration_error import (
    Error,
    refuse_uncounted,
    top_label_bins,
)
from calibench.metrics.folded import fold_bias
from calibench.predictions import Predictions
from calibench.signatures import of_predictions


def size_less_bias(stats: BinStats) -> Error:
    """Weighted mean of |gap| less what its estimated noise adds; see `debiased_l1`.

    Raises:
        DataError: The counts are sums of weights that are no whole numbers.
    """
    refuse_uncounted(stats)
    paired = stats.count > 1
    count = stats.count[paired].astype(np.float64)
    size = np.abs(stats.gap[..., paired])
    # Rounding may leave a bin of equal residuals a variance just below 0.
    spread = np.maximum(stats.squared_gap[..., paired] - size**2, 0)
    terms = count * (size - fold_bias(size, np.sqrt(spread / (count - 1))))
    return np.asarray(terms.sum(axis=-1) / stats.count.sum())


@of_predictions
def debiased_l1(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> float:
    """ECE less the bias that the noise of its bins implies; it may be negative.

    sum over bins of w_b (2 |g_b| - E|N(g_b, s_b^2)|), where g_b is the mean over the
    bin of r = confidence - correct and s_b^2 = (mean r^2 - g_b^2) / (n_b - 1) the
    estimated variance of that mean: noise lifts |g_b| above the true gap about as far
    as it would lift |g_b| again. Unlike `debiased_l2` it is *less* biased, not
    unbiased, since no estimator of a size near 0 is: of a bin without a true gap 0.47
    s_b stays (ECE: 0.80), one with a gap of 1 to 2 s_b comes out low by up to 0.09 s_b,
    and from 4 s_b on both are right. It is reported as it is, because clipping at 0
    would put bias back. A bin of one example has no variance and adds nothing; in one
    of equal residuals (few examples, all right) no noise shows and none is taken off.

    Args:
        some: The predictions.
        num_bins: How many bins.
        scheme: "equal_width", "equal_mass", or a binning function.

    Returns:
        A fraction from -0.8 to 1, at most ECE.

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Source:
        Kumar et al. 2019, whose package (`get_ece(debias=True)`) averages over
        simulated bins; the mean of a folded normal gives that average without
        simulation. Theirs takes a (1 - a) / n_b for s_b^2, and refuses bins of one
        example. Ferro and Fricker 2012 and Broecker 2012 treat the bias of the squared
        error.

    Example:
        One example right and one wrong, both at 0.5: the gap is 0, and noise of
        deviation 0.5 lifts a gap of 0 by 0.5 * 0.798.

        >>> some = Predictions.from_probs([[0.5, 0.5], [0.5, 0.5]], [0, 1])
        >>> round(debiased_l1(some), 3)
        -0.399
    """
    stats = top_label_bins(some, num_bins=num_bins, scheme=scheme)
    return float(size_less_bias(stats))

"""The cheap panel: one number per metric, without resampling."""

import math

from calibench.binning import equal_mass
from calibench.metrics.calibration_error import (
    largest_size,
    mean_excess,
    mean_shortfall,
    mean_size,
    pair_products,
    root_mean_square,
    top_label_bins,
)
from calibench.metrics.classwise import classwise_ece
from calibench.metrics.debiased import size_less_bias
from calibench.metrics.saturation import saturated_share
from calibench.metrics.scores import (
    brier,
    confidence_gap,
    error_rate,
    mean_confidence,
    nll,
)
from calibench.metrics.smooth import smooth_ece
from calibench.predictions import Predictions
from calibench.signatures import of_predictions


@of_predictions
def scalars(some: Predictions, *, num_bins: int = 15) -> dict[str, float]:
    """Score predictions on every metric that needs no resampling, in one pass.

    Each entry equals the function of its name (`top_label_ece_equal_mass`:
    `top_label_ece` with `scheme="equal_mass"`). Floors and intervals: `evaluate`.

    Args:
        some: The predictions.
        num_bins: How many bins for the binned metrics.

    Returns:
        Name -> number. `nll` may be infinite, `debiased_l2` and `confidence_gap`
        negative, as may `debiased_l1`. With weights that are not whole numbers these
        two debiased ones, which count the examples of a bin, are not numbers.

    Raises:
        ParameterError: `num_bins` is below 1.

    Example:
        >>> scalars(Predictions.from_probs([[1.0, 0.0]], [0]))["error_rate"]
        0.0
    """
    some = some.present
    stats = top_label_bins(some, num_bins=num_bins)
    mass = top_label_bins(some, num_bins=num_bins, scheme=equal_mass)
    return {
        "error_rate": error_rate(some),
        "nll": nll(some),
        "brier": brier(some),
        "mean_confidence": mean_confidence(some),
        "confidence_gap": confidence_gap(some),
        "top_label_ece": float(mean_size(stats)),
        "top_label_ece_equal_mass": float(mean_size(mass)),
        "max_calibration_error": float(largest_size(stats)),
        "classwise_ece": classwise_ece(some, num_bins=num_bins),
        "overconfidence": float(mean_excess(stats)),
        "underconfidence": float(mean_shortfall(stats)),
        "rms_calibration_error": float(root_mean_square(stats)),
        "debiased_l1": float(size_less_bias(stats)) if some.is_counted else math.nan,
        "debiased_l2": float(pair_products(stats)) if some.is_counted else math.nan,
        "smooth_ece": smooth_ece(some),
        "saturated_share": saturated_share(some),
    }

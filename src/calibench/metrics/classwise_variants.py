"""Errors of every class that papers also report: of squares, above a threshold."""

import math

import numpy as np

from calibench.binning import Binning, lay, summarize
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.classwise import class_cells
from calibench.options import fraction
from calibench.predictions import Predictions
from calibench.signatures import of_predictions


@of_predictions
def classwise_rms_error(
    some: Predictions, *, num_bins: int = 15, scheme: str | Binning = "equal_width"
) -> float:
    """Root of the mean over classes of the squared one-against-rest error.

    The square of each bin's gap, weighted by the share of examples in it, averaged over
    the classes; `rms_calibration_error` of every class. Never below `classwise_ece`.

    Returns:
        A fraction in [0, 1].

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Source:
        Kumar et al. 2019 (marginal calibration error), here with equal weights for all
        classes.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        >>> classwise_rms_error(some)
        0.25
    """
    cells = class_cells(some, num_bins, scheme)
    occupied = cells.count > 0
    gap = (cells.total - cells.hits)[occupied]
    return math.sqrt(math.fsum(gap**2 / cells.count[occupied]) * cells.weight)


@of_predictions
def thresholded_classwise_ece(
    some: Predictions,
    *,
    threshold: float = 0.01,
    num_bins: int = 15,
    scheme: str | Binning = "equal_mass",
) -> float:
    """Class-wise error over the probabilities that reach a threshold.

    Most probabilities of most classes are near 0 and drown the others. Here the error
    of a class is over those of at least `threshold` alone, in bins of theirs; a class
    without any has the error 0, and the K errors are averaged. With `threshold=0` it is
    `classwise_ece`.

    Args:
        some: The predictions.
        threshold: The least probability that counts, from 0 to 1.
        num_bins: How many bins for each class.
        scheme: "equal_width", "equal_mass", or a binning function.

    Returns:
        A fraction in [0, 1].

    Raises:
        ParameterError: `threshold` is not in [0, 1], `num_bins` is below 1, or there is
            no such scheme.

    Source:
        Nixon et al. 2019 (thresholded adaptive calibration error, TACE), who leave out
        the threshold itself too.

    Example:
        Of class 0 only 0.75 reaches a half, and is wrong once in two; of class 1 none.

        >>> some = Predictions.from_probs([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        >>> thresholded_classwise_ece(some, threshold=0.5)
        0.125
    """
    fraction(threshold, "threshold")
    some, errors = some.present, []
    for k in range(some.num_classes):
        kept = some.probs[:, k] >= threshold
        values = some.probs[kept, k]
        weights = None if some.weights is None else some.weights[kept]
        # A number of bins that is no number is refused even where nothing is kept.
        if not kept.any():
            lay(scheme, np.zeros(1), num_bins)
        else:
            bins = lay(scheme, values, num_bins, weights)
            stats = summarize(bins, values, some.labels[kept] == k, weights)
            errors.append(float(mean_size(stats)))
    return math.fsum(errors) / some.num_classes

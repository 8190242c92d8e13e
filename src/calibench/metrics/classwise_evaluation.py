"""The variants of the class-wise error, with intervals, floors and definitions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from calibench.binning import lay
from calibench.metrics.class_residuals import (
    MOST_PRODUCTS,
    ClassResiduals,
    of_mean_size_of_some,
    of_mean_square,
)
from calibench.metrics.classwise_variants import (
    classwise_rms_error,
    thresholded_classwise_ece,
)
from calibench.metrics.definitions import EDGES, RANKS, Definition
from calibench.metrics.floor import NoiseFloor, check_drawing, floor_of
from calibench.metrics.intervals import Interval
from calibench.metrics.measurement import Measurement
from calibench.metrics.redraw_labels import redrawn_hits
from calibench.options import confidence_level, fraction
from calibench.predictions import Predictions
from calibench.signatures import of_predictions

# Below, normal theory of a mean over so many cells was not tried.
FEWEST = 100

_ROOTED = (
    "covers at least as stated: the root of that of the debiased square, up to the "
    "number"
)
_REACHING = "covers at least as stated: reaches down by the most that the bias can be"


@of_predictions
def classwise_measurements(
    some: Predictions,
    *,
    num_bins: int = 15,
    threshold: float = 0.01,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Measurement]:
    """`classwise_rms_error` and `thresholded_classwise_ece`, measured.

    Labels are redrawn from the rows of probabilities for the floors. The intervals
    allow for what classes have to do with one another: an example that is over one bin
    of its class is under one of another.

    Args:
        some: The predictions; their weights, if any, are whole numbers.
        num_bins: How many bins for each class, of equal width for the first, and of
            equal mass for the second.
        threshold: The least probability that counts for the second, from 0 to 1.
        replicates: How many sets of labels to redraw.
        seed: Of the redrawing.
        level: Of the intervals, of which there are none below 100 examples.

    Raises:
        DataError: The weights are not whole numbers.
        ParameterError: An option is out of its range.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25]] * 2, [0, 1])
        >>> found = classwise_measurements(some, replicates=9)
        >>> found["classwise_rms_error"].value
        0.25
    """
    check_drawing(replicates, seed)
    confidence_level(level)
    fraction(threshold, "threshold")
    some = some.present
    counts = some.counts
    keys = [some.labels] if counts is None else [some.labels, counts]
    # Sums of floats are those of one order, whatever the order of the rows.
    some = some.rows(np.lexsort([*keys, *some.probs.T]))
    squared = Cells.of(some, num_bins, "equal_width", 0.0)
    above = Cells.of(some, num_bins, "equal_mass", threshold)
    drawing = (replicates, seed)
    return {
        "classwise_rms_error": _of_squares(squared, drawing, level),
        "thresholded_classwise_ece": _of_some(above, threshold, drawing, level),
    }


@dataclass(frozen=True, eq=False)
class Cells:
    """Residuals in bins of a scheme, of probabilities that reach a threshold."""

    some: Predictions
    residuals: ClassResiduals

    @classmethod
    def of(
        cls, some: Predictions, num_bins: int, scheme: str, threshold: float
    ) -> "Cells":
        """Lay the bins of every class."""
        columns = np.ascontiguousarray(some.probs.T)
        # Refuses impossible numbers of bins even where nothing reaches the threshold.
        lay(scheme, np.zeros(1), num_bins)
        cell = np.full(columns.shape, num_bins, dtype=np.int64)
        for k, column in enumerate(columns):
            kept = np.flatnonzero(column >= threshold)
            if len(kept):
                weights = None if some.counts is None else some.counts[kept]
                cell[k, kept] = lay(scheme, column[kept], num_bins, weights).index
        residual = np.where(cell < num_bins, columns, 0.0)
        rows = np.arange(some.num_examples)
        residual[some.labels, rows] -= cell[some.labels, rows] < num_bins
        return cls(some, ClassResiduals(residual, cell, num_bins, some.counts))

    def redrawn_sums(
        self, replicates: int, seed: int
    ) -> Float64[np.ndarray, "replicates classes bins"]:
        """The sums of residuals for redrawn labels."""
        cells, num_bins = self.residuals.cell, self.residuals.num_bins
        width, num_classes = num_bins + 1, len(cells)
        flat = cells + width * np.arange(num_classes)[:, None]
        drawn = redrawn_hits(
            self.some.probs,
            flat,
            width * num_classes,
            self.some.counts,
            replicates,
            seed,
        )
        hits = np.concatenate(list(drawn)).reshape(-1, num_classes, width)
        claimed = ClassResiduals(
            np.where(cells < num_bins, self.some.probs.T, 0.0),
            cells,
            num_bins,
            self.some.counts,
        )
        return claimed.sum - hits[:, :, :num_bins]


def _of_squares(cells: Cells, drawing: tuple[int, int], level: float) -> Measurement:
    found, num_bins = cells.residuals, cells.residuals.num_bins
    value = classwise_rms_error(cells.some, num_bins=num_bins)
    count = np.maximum(found.count, 1)
    sums = cells.redrawn_sums(*drawing)
    squares = (sums**2 / count).sum(axis=(1, 2)) / (found.total * len(count))
    definition = Definition(
        quantity="sqrt(mean over classes of sum_b w_b (mean p - share with label)^2)",
        probability="every class",
        num_bins=num_bins,
        scheme="equal_width",
        closed="right",
        edges=EDGES,
        reduction="mean over all classes",
        norm="l2",
        sums="fixed point",
        interval=_ROOTED,
    )
    interval, reason = None, f"fewer than {FEWEST} examples"
    if found.total >= FEWEST:
        interval = of_mean_square(found, level)
        reason = f"more than {MOST_PRODUCTS:,} products of residuals of two classes"
    floor = floor_of(np.sqrt(squares), value)
    return _measured(value, interval, floor, definition, reason)


def _of_some(
    cells: Cells, threshold: float, drawing: tuple[int, int], level: float
) -> Measurement:
    found, num_bins = cells.residuals, cells.residuals.num_bins
    value = thresholded_classwise_ece(
        cells.some, threshold=threshold, num_bins=num_bins
    )
    of_class = np.maximum(found.count.sum(axis=1), 1)
    sizes = np.abs(cells.redrawn_sums(*drawing)).sum(axis=2) / of_class
    definition = Definition(
        quantity=(
            "mean over classes of sum_b w_b |mean p - share with the label|, of the "
            f"examples with p >= {threshold:g}"
        ),
        probability="every class",
        num_bins=num_bins,
        scheme="equal_mass",
        closed="right",
        edges=RANKS,
        dropped=f"for each class, examples that give it less than {threshold:g}",
        reduction="mean over all classes, a class without examples adds 0",
        norm="l1",
        sums="fixed point",
        interval=_REACHING,
    )
    interval, reason = None, f"fewer than {FEWEST} examples"
    if found.total >= FEWEST:
        reason = "no probability reaches the threshold"
        if found.count.any():
            interval = of_mean_size_of_some(found, level)
    return _measured(
        value, interval, floor_of(sizes.mean(axis=1), value), definition, reason
    )


def _measured(
    value: float,
    interval: Interval | None,
    floor: NoiseFloor,
    definition: Definition,
    reason: str,
) -> Measurement:
    if interval is None:
        definition = definition.without_interval(reason)
    return Measurement(value, interval, floor, definition)

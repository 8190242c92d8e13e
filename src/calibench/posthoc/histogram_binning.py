"""Histogram binning: the frequency in a bin replaces the probability."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from calibench.binning import equal_width, summarize
from calibench.errors import ParameterError
from calibench.posthoc.calibrator import Calibrator, refuse_other_classes
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.one_vs_rest import log_normalized
from calibench.posthoc.parameters import flag, freeze, matrix
from calibench.predictions import Matrix, Predictions
from calibench.weights import Weights


@dataclass(frozen=True, eq=False)
class HistogramBinning(Calibrator):
    """Replaces a probability by how often it came true in its equal-width bin.

    One against the rest: every class's probability is replaced by the share of that
    class among the fitted examples in its bin, and rows are normalized. Top label: the
    confidence is replaced by the accuracy in its bin, and the other classes share what
    is left in proportion, equally where they had nothing. An empty bin keeps its
    midpoint. The predicted class may change, and probabilities may be 0, so that NLL
    may be infinite.

    Attributes:
        frequencies: One row of bins for each class, or one row for the top label.
        top_label: Which of the two.

    Example:
        >>> halves = HistogramBinning(np.array([[0.25, 0.75]]), top_label=True)
        >>> np.exp(halves(np.log([[0.9, 0.1]]))).round(12).tolist()
        [[0.75, 0.25]]
    """

    frequencies: Float64[np.ndarray, "rows bins"]
    top_label: bool

    method: ClassVar = "histogram_binning"
    gives_probs: ClassVar = True
    parameters: ClassVar = {"frequencies": matrix, "top_label": flag}

    def __post_init__(self) -> None:
        rows, num_bins = self.frequencies.shape
        freeze(self, "frequencies", (rows, num_bins))
        if num_bins < 1 or (rows != 1 if self.top_label else rows < 2):
            msg = (
                "frequencies must have bins, in one row for the top label or else one "
                f"for each class, got shape {self.frequencies.shape}."
            )
            raise ParameterError(msg)
        if self.frequencies.min() < 0 or self.frequencies.max() > 1:
            msg = "frequencies must be in [0, 1]."
            raise ParameterError(msg)

    @classmethod
    def fit(
        cls, predictions: Predictions, *, num_bins: int = 15, top_label: bool = False
    ) -> "HistogramBinning":
        """Count in equal-width bins, as the metrics do.

        Raises:
            LeakageError: The predictions are of the test split.
            ParameterError: `num_bins` is below 1.

        Source:
            Zadrozny and Elkan 2001, section 3; for several classes, one against the
            rest, Guo et al. 2017, section 4.2; the top label, Gupta and Ramdas 2022.
        """
        fitted_on = FittingSet.of(predictions, cls.method)
        some = predictions.present
        if top_label:
            binary = [(some.confidence, some.correct)]
        else:
            binary = [(p, some.labels == k) for k, p in enumerate(some.probs.T)]
        rows = [_frequencies(*each, num_bins, some.weights) for each in binary]
        return cls(np.stack(rows), top_label, fitted_on=fitted_on)

    def _calibrated(self, predictions: Predictions) -> Matrix:
        if self.top_label:
            return self._top_label(predictions)
        refuse_other_classes(predictions, len(self.frequencies), self.method)
        columns = [
            self._lookup(column, row)
            for column, row in zip(predictions.probs.T, self.frequencies, strict=True)
        ]
        return log_normalized(np.stack(columns, axis=1), predictions)

    def _top_label(self, predictions: Predictions) -> Matrix:
        confidence = self._lookup(predictions.confidence, self.frequencies[0])
        rows = np.arange(predictions.num_examples)
        others = predictions.probs.copy()
        others[rows, predictions.predicted] = 0
        nothing = others.sum(axis=1) == 0
        others[nothing] = 1
        others[rows, predictions.predicted] = 0
        others *= ((1 - confidence) / others.sum(axis=1))[:, None]
        others[rows, predictions.predicted] = confidence
        return log_normalized(others, predictions)

    def _lookup(
        self,
        values: Float64[np.ndarray, " examples"],
        frequencies: Float64[np.ndarray, " bins"],
    ) -> Float64[np.ndarray, " examples"]:
        return frequencies[equal_width(values, len(frequencies)).index]


def _frequencies(
    values: Float64[np.ndarray, " examples"],
    came_true: np.ndarray,
    num_bins: int,
    weights: Weights | None,
) -> Float64[np.ndarray, " bins"]:
    bins = equal_width(values, num_bins)
    found = summarize(bins, values, came_true, weights)
    frequencies = (bins.edges[:-1] + bins.edges[1:]) / 2
    frequencies[np.unique(bins.index)] = found.accuracy
    return frequencies

"""How much ECE changes from one epoch to the next, beyond what a test set lets it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from calibench.metrics.calibration_error import top_label_bins
from calibench.metrics.intervals import most_bias
from calibench.metrics.paired import ece_terms, standard_error
from calibench.predictions import Predictions

Vector = Float64[np.ndarray, " examples"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Fluctuation:
    """The mean square of a run's changes of ECE.

    Attributes:
        seen: As the test examples show it, chance included.
        mean_square: Without the part of chance; negative where that explains all.
        influence: Of each test example; its mean is 0, and its standard error that of
            `mean_square`.
        down: The most by which the bias of each ECE may have lifted `mean_square`.
        up: The most by which it may have lowered it.
    """

    seen: float
    mean_square: float
    influence: Vector
    down: float
    up: float


def ece_fluctuation(
    epochs: Iterable[Predictions], *, num_bins: int = 15
) -> Fluctuation:
    """Measure the changes of ECE between epochs on the same test examples.

    A change is the mean over examples of differences of `ece_terms`. Its square is
    lifted by the square of its standard error, which is taken off. The standard error
    of what is left is by linear terms: it covers other test examples, for these epochs
    of this run. ECE itself is lifted by noise, the more the nearer a model is to
    calibration, so that a change to or from there looks too small; by how much at
    most is `down` and `up`.

    Args:
        epochs: Predictions for the same examples, one epoch after another; two at
            least.
        num_bins: Of ECE.
    """
    changes = [
        _Change.between(before, after)
        for before, after in pairwise(_Epoch.of(some, num_bins) for some in epochs)
    ]
    seen = float(np.mean([each.mean**2 for each in changes]))
    noise = float(np.mean([each.error**2 for each in changes]))
    return Fluctuation(
        seen=seen,
        mean_square=seen - noise,
        influence=np.mean([each.influence for each in changes], axis=0),
        down=float(np.mean([each.mean**2 - each.least_square for each in changes])),
        up=float(np.mean([each.most_square - each.mean**2 for each in changes])),
    )


@dataclass(frozen=True, eq=False)
class _Epoch:
    terms: Vector
    bias: float

    @classmethod
    def of(cls, some: Predictions, num_bins: int) -> "_Epoch":
        bias = most_bias(top_label_bins(some, num_bins=num_bins))
        return cls(ece_terms(some, num_bins=num_bins), bias)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Change:
    """A change of ECE; without the bias of both it may be from `low` to `high`."""

    mean: float
    error: float
    influence: Vector
    low: float
    high: float

    @classmethod
    def between(cls, before: _Epoch, after: _Epoch) -> "_Change":
        terms = after.terms - before.terms
        mean = float(terms.mean())
        # An epoch like the one before has the same bias, too.
        is_same = not terms.any()
        return cls(
            mean=mean,
            error=standard_error(terms),
            influence=2 * mean * (terms - mean),
            low=mean if is_same else mean - after.bias,
            high=mean if is_same else mean + before.bias,
        )

    @property
    def least_square(self) -> float:
        return max(self.low, -self.high, 0.0) ** 2

    @property
    def most_square(self) -> float:
        return max(-self.low, self.high) ** 2

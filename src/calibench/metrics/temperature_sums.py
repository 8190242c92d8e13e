"""What a pass at one temperature knows of the best one: exact, mergeable sums."""

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from calibench.errors import DataError
from calibench.predictions import Counts, Predictions

Terms: TypeAlias = Float64[np.ndarray, " examples"]

# Numbers, and rows, at a time: what is derived from them stays in the cache.
_NUMBERS, _ROWS = 2**16, 2**13
# Up to here sums over classes add whole columns, whose order does not depend on rows.
_FEW_CLASSES = 32
# Terms are cut to multiples of 2^-36, so that they add up exactly in any order.
_BITS = 36
_MOST = 2.0**62


@dataclass(frozen=True, eq=False)
class TemperatureSums:
    """Sums over examples of scores at one temperature and of how they change with it.

    With x = logits / T less the largest of each row, and r the relative change of
    1 / T, the NLL of an example is loss + slope r + second r^2 / 2 + third r^3 / 6 +
    ..., from the cumulants of x under the softmax. A value: `merge` returns a new one,
    and the bits depend on the multiset of examples alone.

    Attributes:
        inverse: 1 / T.
        count: How many examples.
        units: By name of a term, its sum in multiples of 2^-36. Empty before the first
            example, and without a term that is too large for float64.
        largest: The largest size of a slope.

    Example:
        >>> some = Predictions.from_logits([[0.0, 0.0]], [1])
        >>> round(TemperatureSums.of(some, 1.0).mean("loss"), 9)
        0.693147181
    """

    inverse: float
    count: int = 0
    units: dict[str, int] = field(default_factory=dict)
    largest: float = 0.0

    @classmethod
    def of(cls, some: Predictions, inverse: float) -> "TemperatureSums":
        """The sums of these examples, each as often as its weight says.

        Raises:
            DataError: The weights are not whole numbers.
        """
        some = some.present
        step = max(1, min(_NUMBERS // some.num_classes, _ROWS))
        sums = cls(inverse)
        for start in range(0, some.num_examples, step):
            sums = sums.merge(_block(some.rows(slice(start, start + step)), inverse))
        return sums

    def merge(self, other: "TemperatureSums") -> "TemperatureSums":
        """The sums over the examples of both.

        Raises:
            DataError: They were taken at two temperatures.
        """
        if self.inverse != other.inverse:
            msg = "sums at two temperatures cannot be added. Take both at one."
            raise DataError(msg)
        if self.count == 0 or other.count == 0:
            return self if other.count == 0 else other
        theirs = other.units
        return replace(
            self,
            count=self.count + other.count,
            units={
                k: mine + theirs[k] for k, mine in self.units.items() if k in theirs
            },
            largest=max(self.largest, other.largest),
        )

    @property
    def is_finite(self) -> bool:
        """Whether no term was too large."""
        return len(self.units) == len(_NAMES)

    def mean(self, name: str) -> float:
        """The mean of a term over examples."""
        return self.units[name] / (self.count << _BITS)


@dataclass(frozen=True, eq=False)
class _Softmax:
    """Logits, the largest of each example 0, and their softmax, classes first or last.

    Classes of probability 0 have logit 0 here, so that products with them are 0.
    """

    logits: np.ndarray
    probs: np.ndarray
    log_total: Terms
    axis: int

    @classmethod
    def of(cls, logits: np.ndarray, known: np.ndarray, axis: int) -> "_Softmax":
        probs = np.exp(logits)
        total = _over_classes(probs, axis)
        probs /= np.expand_dims(total, axis)
        return cls(np.where(known, logits, 0.0), probs, np.log(total), axis)

    def mean(self, values: np.ndarray) -> Terms:
        return _over_classes(self.probs * values, self.axis)


def _block(some: Predictions, inverse: float) -> TemperatureSums:
    terms = dict(zip(_NAMES, _terms(some, inverse), strict=True))
    counts = some.counts
    total = some.num_examples if counts is None else int(counts.sum())
    whole = {name: _whole(each, counts, total) for name, each in terms.items()}
    units = {name: each for name, each in whole.items() if each is not None}
    return TemperatureSums(inverse, total, units, float(np.abs(terms["slope"]).max()))


_NAMES = (
    *("depth", "flat", "loss", "slope", "second", "third", "fourth"),
    *("slope_square", "loss_square", "gain_square"),
    *("brier", "brier_slope", "slopes", "brier_square", "brier_gain_square"),
)


def _terms(some: Predictions, inverse: float) -> tuple[Terms, ...]:
    axis = 0 if some.num_classes <= _FEW_CLASSES else 1
    rows, labels = np.arange(some.num_examples), some.labels
    own = (labels, rows) if axis == 0 else (rows, labels)
    logits = np.ascontiguousarray(some.logits.T) if axis == 0 else some.logits
    with np.errstate(over="ignore", invalid="ignore"):
        logits = logits - np.expand_dims(logits.max(axis=axis), axis)
        known = np.isfinite(logits)
        given = _Softmax.of(logits, known, axis)
        softmax = _Softmax.of(logits * inverse, known, axis)
        probs, depth = softmax.probs, -softmax.logits[own]
        first = softmax.mean(softmax.logits)
        central = softmax.logits - np.expand_dims(first, axis)
        squares = central**2
        second, own_square = softmax.mean(squares), softmax.mean(probs)
        loss, slope = softmax.log_total + depth, first + depth
        brier = own_square - 2 * probs[own] + 1
        change = softmax.mean(probs * central) - probs[own] * central[own]
        gain = given.log_total - given.logits[own] - loss
        brier_given = given.mean(given.probs) - 2 * given.probs[own] + 1
        return (
            *(depth, _over_classes(softmax.logits, axis) / known.sum(axis=axis)),
            *(loss, slope, second, softmax.mean(squares * central)),
            *(softmax.mean(squares**2) - 3 * second**2,),
            *(slope**2, loss**2, gain**2),
            *(brier, 2 * change, 2 * change * slope, brier**2),
            *((brier_given - brier) ** 2,),
        )


def _over_classes(values: np.ndarray, axis: int) -> Terms:
    if axis == 1:
        return np.asarray(values.sum(axis=1))
    total = values[0].copy()
    for each in values[1:]:
        total += each
    return total


def _whole(terms: Terms, counts: Counts | None, total: int) -> int | None:
    whole = np.rint(terms * 2.0**_BITS)
    most = float(np.abs(whole).max()) * total
    if not np.isfinite(most):
        return None
    if most < _MOST:
        integers = whole.astype(np.int64)
        return int((integers if counts is None else integers * counts).sum())
    times = [1] * len(terms) if counts is None else counts.tolist()
    return sum(
        int(each) * many for each, many in zip(whole.tolist(), times, strict=True)
    )

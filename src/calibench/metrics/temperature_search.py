"""The best temperature of examples that are only ever passed over."""

import math
from dataclasses import dataclass, replace

import numpy as np

from calibench.metrics.cells import odds_range
from calibench.metrics.measurement import TemperatureDiagnosis
from calibench.metrics.stream import MetricState
from calibench.metrics.temperature_sums import TemperatureSums

# A step this small, by the series of four cumulants, leaves less than 1e-10 of 1 / T.
_SMALL = 5e-4
# The series is trusted so far; beyond, 1 / T is moved by this factor.
_TRUSTED, _FACTOR = (-0.5, 1.0), 8.0
_MOST_PASSES = 60
# The temperature of the predicted class alone is sought within e^-20 and e^20.
_LOG_RANGE, _HALVINGS = 20.0, 60
# What stands for log-odds beyond the cells.
_MOST_ODDS = 48.0


@dataclass(frozen=True, eq=False)
class TemperatureSearch:
    """Where the search is: a value, and `after` a pass there is another.

    The NLL is convex in 1 / T, so the slope at every pass brackets its minimum; the
    cumulants of the pass find it. It begins at the best temperature of the claim that
    the predicted class is right, read off the log-odds cells of a state: for two
    classes a pass or two find the minimum, for more two to five.

    Attributes:
        inverse: 1 / T of the next pass.
        low: An inverse temperature that is too small.
        high: One that is too large.
        passes: How many there were.
        found: The end of the search, if it has ended.
        sums: Those of the last pass.
        step: The relative change of 1 / T from the last pass to the end.
    """

    inverse: float
    low: float = 0.0
    high: float = math.inf
    passes: int = 0
    found: TemperatureDiagnosis | None = None
    sums: TemperatureSums | None = None
    step: float = 0.0

    @classmethod
    def start(cls, state: MetricState) -> "TemperatureSearch":
        """Begin with what a state knows.

        Example:
            >>> from calibench.predictions import Predictions
            >>> some = Predictions.from_logits([[4.0, 0.0]] * 4, [0, 0, 0, 1])
            >>> search = TemperatureSearch.start(MetricState.of(some))
            >>> while search.found is None:
            ...     search = search.after(TemperatureSums.of(some, search.inverse))
            >>> round(search.found.value * math.log(3), 9)
            4.0
        """
        search = cls(_start(state))
        if infinite := int(state.infinite):
            return _ended(
                search,
                f"{infinite:,} labels have probability 0, so the NLL is infinite at "
                "every temperature",
            )
        return search

    def after(self, sums: TemperatureSums) -> "TemperatureSearch":
        """The search with the sums of a pass at `inverse`."""
        search = replace(self, passes=self.passes + 1, sums=sums)
        if reason := _refused(sums):
            return _ended(search, reason)
        if sums.mean("slope") < 0:
            search = replace(search, low=self.inverse)
        else:
            search = replace(search, high=self.inverse)
        step = _step(sums)
        if step is not None and abs(step) <= _SMALL:
            return _found(search, step, sums)
        if search.passes == _MOST_PASSES:
            return _ended(search, f"none was found in {_MOST_PASSES} passes")
        if step is None:
            step = _FACTOR - 1 if search.low == self.inverse else 1 / _FACTOR - 1
        inverse = self.inverse * (1 + step)
        if not search.low < inverse < search.high:
            low = search.low or search.high / _FACTOR**2
            high = search.high if search.high < math.inf else low * _FACTOR**2
            inverse = math.sqrt(low) * math.sqrt(high)
        return replace(search, inverse=inverse)


def _ended(search: TemperatureSearch, reason: str) -> TemperatureSearch:
    return replace(search, found=TemperatureDiagnosis(None, None, reason))


def _found(
    search: TemperatureSearch, step: float, sums: TemperatureSums
) -> TemperatureSearch:
    nll = sums.mean("loss") + step * sums.mean("slope")
    nll += step**2 / 2 * sums.mean("second") + step**3 / 6 * sums.mean("third")
    value = 1 / (search.inverse * (1 + step))
    found = TemperatureDiagnosis(value, nll, None)
    return replace(search, found=found, step=step)


def _start(state: MetricState) -> float:
    seen = np.flatnonzero(state.odds[0])
    count, right = state.odds[:, seen]
    least, most = odds_range(seen)
    odds = (np.maximum(least, -_MOST_ODDS) + np.minimum(most, _MOST_ODDS)) / 2

    def slope(log_inverse: float) -> float:
        claim = 0.5 * (1 + np.tanh(0.5 * math.exp(log_inverse) * odds))
        return float((odds * (count * claim - right)).sum())

    low, high = -_LOG_RANGE, _LOG_RANGE
    if not slope(low) < 0 < slope(high):
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return math.exp(low)


def _refused(sums: TemperatureSums) -> str | None:
    if not sums.is_finite:
        return "the logits are too large to square. Divide them by a constant"
    if sums.units["depth"] == sums.units["flat"] == 0:
        return "the logits of each are all equal, so that no temperature matters"
    if sums.units["depth"] == 0:
        return (
            "every label has the largest logit, so the NLL falls all the way to T = 0"
        )
    if -sums.units["flat"] <= sums.units["depth"]:
        return (
            "labels have no higher logits than other classes on average, so the NLL "
            "falls all the way to T = infinity"
        )
    return None


def _step(sums: TemperatureSums) -> float | None:
    """The relative change of 1 / T to the minimum of the series, if it has one near."""
    slope, second, third, fourth = (
        sums.mean(name) for name in ("slope", "second", "third", "fourth")
    )
    step = 0.0
    for _ in range(50):
        bend = second + step * (third + step * fourth / 2)
        if not bend > 0:
            return None
        change = (
            slope + step * (second + step * (third / 2 + step * fourth / 6))
        ) / bend
        step -= change
        if not _TRUSTED[0] < step < _TRUSTED[1]:
            return None
        if abs(change) < 1e-16:
            break
    return step

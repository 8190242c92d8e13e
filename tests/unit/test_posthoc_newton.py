"""Newton's method where its plain form fails, and where there is nothing to find."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from calibench.errors import FitError
from calibench.posthoc.newton import Local, minimize


@dataclass(frozen=True)
class OfOneNumber:
    """A function of one number, by its formula and two derivatives."""

    formula: object
    slope: object
    bend: object

    def value(self, point):
        return float(self.formula(point[0, 0]))

    def at(self, point):
        x = point[0, 0]
        return Local(
            self.value(point),
            np.array([[float(self.slope(x))]]),
            lambda direction: direction * float(self.bend(x)),
        )

    def reach(self, step):
        return float(np.abs(step).max())


def found(function, start):
    return minimize(function, np.array([[float(start)]]))[0, 0]


def test_a_full_step_that_overshoots_is_shortened():
    # Newton's step leads from x to -x^3: from 2 to -8, -512, and so on.
    bowl = OfOneNumber(
        lambda x: math.sqrt(1 + x * x),
        lambda x: x / math.sqrt(1 + x * x),
        lambda x: (1 + x * x) ** -1.5,
    )
    for start in (0.5, 2, -30):
        assert found(bowl, start) == pytest.approx(0, abs=1e-7)


def test_a_parabola_takes_one_step():
    parabola = OfOneNumber(lambda x: (x - 3) ** 2, lambda x: 2 * (x - 3), lambda _: 2)
    assert found(parabola, -7) == pytest.approx(3, abs=1e-12)


def test_a_function_that_falls_for_ever_has_no_minimum():
    fall = OfOneNumber(lambda x: math.exp(-x), lambda x: -math.exp(-x), fallen)
    with pytest.raises(FitError, match="falls for ever"):
        found(fall, 0)


def fallen(x):
    return math.exp(-x)


def test_a_start_at_the_minimum_stays():
    flat = OfOneNumber(lambda _: 1, lambda _: 0, lambda _: 0)
    assert found(flat, 5) == 5


def test_without_curvature_it_goes_downhill():
    # Linear until 1, then a parabola: |x| smoothed, whose minimum is at 0.
    huber = OfOneNumber(
        lambda x: x * x / 2 if abs(x) < 1 else abs(x) - 0.5,
        lambda x: max(-1, min(1, x)),
        lambda x: float(abs(x) < 1),
    )
    assert found(huber, 20.5) == pytest.approx(0, abs=1e-8)

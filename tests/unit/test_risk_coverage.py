"""The area under the risk-coverage curve: ties, ends, its interval."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench import metrics
from calibench.metrics import risk_coverage as rc
from calibench.metrics.risk_coverage_interval import (
    _influence,
    area_interval,
    excess_area_interval,
)
from calibench.predictions import Predictions
from reference import ranking

LEVEL = 0.95


def binary(confidence, wrong):
    c = np.asarray(confidence, dtype=np.float64)
    return Predictions.from_probs(
        np.stack([c, 1 - c], axis=1), np.asarray(wrong, dtype=int)
    )


def test_a_curve_by_hand():
    # Sorted: .9 right, .8 wrong and right (tied), .6 wrong.
    curve = metrics.RiskCoverage.of(binary([0.8, 0.6, 0.9, 0.8], [1, 1, 0, 0]))
    assert curve.threshold.tolist() == [0.9, 0.8, 0.6]
    assert curve.count.tolist() == [1, 2, 1]
    assert curve.wrong.tolist() == [0, 1, 1]
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]
    assert curve.risk.tolist() == [0, 1 / 3, 1 / 2]
    # Risks 0, (half the time 1/2, else 0), 1/3, 1/2.
    assert curve.area == pytest.approx((0 + 1 / 4 + 1 / 3 + 1 / 2) / 4, abs=1e-15)
    # The best order: 0, 0, 1/3, 1/2.
    assert curve.excess_area == pytest.approx(1 / 16, abs=1e-15)


def test_every_small_case_with_ties_is_the_mean_over_all_orders():
    for n in (1, 2, 3, 4):
        for levels in itertools.product((0.6, 0.75, 0.9), repeat=n):
            for wrong in itertools.product((0, 1), repeat=n):
                some = binary(levels, wrong)
                area = float(ranking.expected_area(levels, wrong))
                least = float(ranking.least_area(wrong))
                assert metrics.aurc(some) == pytest.approx(area, abs=2e-15)
                excess = metrics.excess_aurc(some)
                assert excess == pytest.approx(area - least, abs=2e-15)
                assert excess >= 0


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 0.7, 0.8, 1.0]), st.booleans()), min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_examples_changes_no_bit(rows, random):
    once = binary(*zip(*rows, strict=True))
    random.shuffle(rows)
    again = binary(*zip(*rows, strict=True))
    assert metrics.aurc(once) == metrics.aurc(again)
    assert metrics.excess_aurc(once) == metrics.excess_aurc(again)


def test_constant_confidence_costs_the_error_rate():
    some = binary([0.7] * 10, [1, 0, 0, 0, 1, 0, 0, 0, 0, 1])
    assert metrics.aurc(some) == pytest.approx(0.3, abs=1e-15)


@pytest.mark.parametrize(("wrong", "area"), [(0, 0.0), (1, 1.0)])
def test_the_ends(wrong, area):
    some = binary([0.6, 0.7, 0.8], [wrong] * 3)
    assert metrics.aurc(some) == pytest.approx(area, abs=1e-15)
    assert metrics.excess_aurc(some) == pytest.approx(0, abs=1e-15)


def test_harmonic_growth():
    start = np.array([0, 0, 1, 15, 16, 1000, 10**9])
    steps = np.array([1, 20, 1, 3, 40, 5000, 3])
    direct = [
        math.fsum(1 / k for k in range(a + 1, a + b + 1))
        for a, b in zip(start.tolist(), steps.tolist(), strict=True)
    ]
    assert rc.harmonic_growth(start, steps) == pytest.approx(direct, rel=1e-14)


def test_the_area_of_cells_bounds_that_of_their_examples():
    rng = np.random.default_rng(1)
    confidence = rng.random(400) / 2 + 0.5
    wrong = rng.random(400) > confidence
    area = metrics.aurc(binary(confidence, wrong))
    cell = np.floor(40 * (1 - confidence)).astype(int)
    count, bad = np.bincount(cell), np.bincount(cell[wrong], minlength=cell.max() + 1)
    kept = count > 0
    count, bad = count[kept], bad[kept]
    low, high = rc.area_range(count, bad)
    assert low < area < high
    assert low < rc.area_of(count, bad) < high
    assert high - low < 0.05
    # Cells in which all agree leave no doubt.
    sure = rc.area_range(np.array([3, 2]), np.array([0, 2]))
    assert sure[0] == sure[1] == rc.area_of(np.array([3, 2]), np.array([0, 2]))


def test_counts_beyond_memory():
    # A billion examples with error rate 1/10 at every confidence: the area is 1/10.
    count = np.full(7200, 10**9, dtype=np.int64)
    assert rc.area_of(count, count // 10) == pytest.approx(0.1, abs=1e-15)
    # In the limit the least area is e + (1 - e) ln(1 - e).
    least = 0.1 + 0.9 * math.log(0.9)
    assert rc.excess_area_of(count, count // 10) == pytest.approx(0.1 - least, abs=1e-9)


def test_the_influence_is_the_derivative_in_the_counts():
    count, wrong = np.array([3, 5, 4, 9]) * 10**5, np.array([2, 5, 16, 30]) * 10**4
    of_wrong, of_right = _influence(count, wrong)
    n, area = count.sum(), rc.area_of(count, wrong)
    for group in range(4):
        more = np.eye(4)[group]
        for found, errors in ((of_wrong, more), (of_right, 0 * more)):
            moved = rc.area_of(count + more, wrong + errors)
            assert (moved - area) * (n + 1) == pytest.approx(found[group], abs=2e-5)
    total = (wrong * of_wrong).sum() + ((count - wrong) * of_right).sum()
    assert total / n == pytest.approx(0, abs=1e-13)


def test_intervals_cover():
    rng = np.random.default_rng(3)
    # Wrong with probability 1 - c, c uniform on [1/2, 1]: at coverage u the threshold
    # is 1 - u / 2, the risk u / 4 and the area its mean, 1 / 8.
    truth = {"aurc": 1 / 8}
    truth["excess_aurc"] = 1 / 8 - (1 / 4 + 3 / 4 * math.log(3 / 4))
    trials, held = 400, dict.fromkeys(truth, 0)
    for _ in range(trials):
        confidence = 0.5 + rng.random(300) / 2
        curve = metrics.RiskCoverage.of(
            binary(confidence, rng.random(300) > confidence)
        )
        for name, interval in (
            ("aurc", area_interval),
            ("excess_aurc", excess_area_interval),
        ):
            low, high = interval(curve.count, curve.wrong, LEVEL)
            held[name] += low <= truth[name] <= high
    for name, count in held.items():
        # 95 % within three standard errors.
        assert 0.917 <= count / trials <= 0.983, name


def test_intervals_need_ten_errors_and_an_imperfect_ranking():
    count, wrong = np.array([50, 41]), np.array([0, 9])
    assert area_interval(count, wrong, LEVEL) is None
    assert excess_area_interval(count, wrong, LEVEL) is None
    count, wrong = np.array([50, 10]), np.array([0, 10])
    assert area_interval(count, wrong, LEVEL) is not None
    assert excess_area_interval(count, wrong, LEVEL) is None
    assert excess_area_interval(np.array([50]), np.array([50]), LEVEL) is None


def test_the_panel_says_why_there_is_no_interval():
    few = metrics.evaluate(binary([0.9] * 40, [1] + [0] * 39), replicates=9)
    reason = few.measurements["aurc"].definition.interval
    assert reason == "none: fewer than 10 wrong examples"
    perfect = binary([0.9] * 30 + [0.6] * 10, [0] * 30 + [1] * 10)
    found = metrics.evaluate(perfect, replicates=9).measurements
    assert found["aurc"].interval is not None
    assert found["excess_aurc"].definition.interval.startswith("none: no wrong example")

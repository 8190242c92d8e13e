import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calibench.metrics.over_seeds import SeedEstimate, over_seeds
from calibench.metrics.paired import of_normal, two_sided
from calibench.metrics.students_t import student_quantile, two_sided_student

FREEDOMS = [1, 2, 3, 4, 5, 8, 9, 30, 401]


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0, -2.5, 7.0, 40.0])
def test_students_tails_are_scipys(freedom, ratio):
    expected = 2 * stats.t.sf(abs(ratio), freedom)
    assert two_sided_student(ratio, freedom) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("level", [0.5, 0.95, 0.9975])
def test_students_quantiles_are_scipys(freedom, level):
    expected = stats.t.ppf((1 + level) / 2, freedom)
    assert student_quantile(level, freedom) == pytest.approx(expected, rel=1e-9)


def test_two_seeds_by_hand():
    # Seeds 2 and 4: mean 3, deviation sqrt(2), so 1 of the mean; t of one freedom.
    found = over_seeds(np.array([[1.0, 3.0], [3.0, 5.0]]))
    # Examples over seeds 2 and 4: standard deviation sqrt(2), standard error 1.
    assert (found.value, found.by_seed, found.error) == (3.0, (2.0, 4.0), 1.0)
    assert found.over_examples() == pytest.approx((3 - 1.959964, 3 + 1.959964))
    assert found.over_seeds() == pytest.approx((3 - 12.7062, 3 + 12.7062), abs=1e-3)
    both = math.hypot(1.959964, 12.706205)
    assert found.half_width(0.95) == pytest.approx(both)


def test_one_seed_is_the_paired_test():
    terms = np.random.default_rng(0).normal(0.1, 1, (1, 50))
    found = over_seeds(terms)
    error = terms.std(ddof=1) / math.sqrt(50)
    outcome = of_normal(float(terms.mean()), error, 0.95)
    assert found.over_seeds() is None
    assert found.over_examples() == pytest.approx(outcome.interval)
    assert found.p_value(0.0) == pytest.approx(outcome.p_value)


def test_seeds_that_agree_leave_the_examples_alone():
    found = SeedEstimate(by_seed=(1.0, 1.0), error=0.5, num_examples=9)
    assert found.p_value(0.0) == pytest.approx(two_sided(1.0, 0.5))
    assert found.half_width(0.95) == pytest.approx(0.5 * 1.959964)


def test_examples_that_agree_leave_students_test():
    found = SeedEstimate(by_seed=(1.0, 2.0, 4.0), error=0.0, num_examples=9)
    expected = stats.ttest_1samp([1.0, 2.0, 4.0], 0.0).pvalue
    assert found.p_value(0.0) == pytest.approx(expected)


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=6),
    st.floats(0.01, 2),
    st.floats(-2, 2),
    st.sampled_from([0.5, 0.9, 0.95, 0.999]),
)
def test_the_p_value_is_that_of_the_interval(by_seed, error, bound, level):
    found = SeedEstimate(by_seed=tuple(by_seed), error=error, num_examples=40)
    distance = abs(found.value - bound)
    p_value = found.p_value(bound)
    half = found.half_width(level)
    if distance > half * (1 + 1e-6):
        assert p_value <= 1 - level + 1e-9
    elif distance < half * (1 - 1e-6):
        assert p_value >= 1 - level - 1e-9


@given(st.floats(0.01, 3), st.floats(0, 3), st.integers(2, 9))
def test_a_second_source_of_spread_never_helps(error, deviation, num_seeds):
    by_seed = (1 - deviation, 1 + deviation, *[1.0] * (num_seeds - 2))
    alone = SeedEstimate(by_seed=(1.0,), error=error, num_examples=40)
    both = SeedEstimate(by_seed=by_seed, error=error, num_examples=40)
    assert both.p_value(0.0) >= alone.p_value(0.0) - 1e-12


def test_what_bias_explains_is_no_evidence():
    found = SeedEstimate(by_seed=(1.0,), error=0.1, num_examples=9, down=1.0, up=0.5)
    assert found.p_value(0.0) == 1.0
    assert found.p_value(1.5) == 1.0
    assert found.p_value(1.75) == pytest.approx(two_sided(0.25, 0.1))
    low, high = found.over_examples()
    assert (low, high) == pytest.approx((-0.1959964, 1.6959964))


def test_a_model_that_is_right_throughout_is_not_certain():
    found = over_seeds(np.zeros((1, 40)), unseen=1.0)
    assert found.error == 1 / 40
    assert not found.is_exact
    assert over_seeds(np.zeros((2, 40))).is_exact


@pytest.mark.parametrize("spreads", [(1, 0.1, 0), (0, 1, 0), (0, 0, 1), (1, 1, 3)])
@pytest.mark.parametrize("num_seeds", [1, 2, 3, 5])
def test_seeds_and_examples_raise_no_more_false_alarms_than_stated(spreads, num_seeds):
    """Terms are seed + example + the rest; the seeds' spread is worth the examples'."""
    of_seeds, of_examples, of_rest = spreads
    generator = np.random.default_rng(num_seeds)
    alarms, tries, size = 0, 400, 60
    for _ in range(tries):
        seeds = of_seeds * generator.normal(0, 1 / math.sqrt(size), (num_seeds, 1))
        examples = of_examples * generator.normal(0, 1, (1, size))
        rest = of_rest * generator.normal(0, 1, (num_seeds, size))
        # With one seed a verdict is about that network alone.
        center = float(seeds.mean()) if num_seeds == 1 else 0.0
        alarms += over_seeds(seeds + examples + rest).p_value(center) <= 0.05
    # 5 % of 400 are 20, with a standard deviation of 4.4.
    assert alarms <= 33

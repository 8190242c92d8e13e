"""Hand-made cases of the debiased, swept and summed errors, and their edges."""

import math

import numpy as np
import pytest

from calibench import metrics
from calibench.errors import ParameterError
from calibench.metrics import intervals
from calibench.metrics.calibration_error import root_mean_square
from calibench.metrics.debiased import size_less_bias
from calibench.metrics.evaluation_binned import of_class_sum
from calibench.metrics.floor import NoiseFloor
from calibench.metrics.sweep import MOST_BINS, Groups, largest_ascending
from calibench.predictions import Predictions


def binary(confidence, correct):
    confidence = np.array(confidence)
    probs = np.stack([confidence, 1 - confidence], axis=1)
    return Predictions.from_probs(probs, np.where(correct, 0, 1))


def test_a_debiased_size_by_hand():
    # Gaps -.25, -.25, -.25, .75: mean 0, mean square .1875, variance .1875 / 3.
    some = binary([0.75] * 4, [True, True, True, False])
    lifted = math.sqrt(0.1875 / 3) * math.sqrt(2 / math.pi)
    assert metrics.debiased_l1(some) == pytest.approx(-lifted, abs=1e-15)
    # A bin of one adds nothing, and still counts in the mean.
    more = binary([0.75] * 4 + [1.0], [True, True, True, False, False])
    assert metrics.debiased_l1(more) == pytest.approx(-lifted * 4 / 5, abs=1e-15)


def test_nothing_is_taken_off_where_no_noise_shows():
    some = binary([0.75] * 5, [True] * 5)
    assert metrics.debiased_l1(some) == metrics.top_label_ece(some) == 0.25
    assert metrics.debiased_l1(binary([0.75], [True])) == 0


def test_debiasing_is_what_others_simulate():
    others = pytest.importorskip("calibration.utils")
    rng = np.random.default_rng(0)
    levels = np.repeat([0.55, 0.7, 0.8, 0.9, 0.99], 500)
    right = rng.random(2500) < levels**1.05
    bins = [
        list(zip(levels[rows], right[rows], strict=True))
        for rows in np.arange(2500).reshape(5, 500)
    ]
    np.random.seed(0)  # noqa: NPY002 - they draw from the global state
    simulated = others.normal_debiased_ce(bins, power=1, resamples=4000)
    found = metrics.debiased_l1(binary(levels, right))
    # The spread of a simulation is 0.008 / 63, and they divide by n, not n - 1.
    assert found == pytest.approx(simulated, abs=5e-4)
    assert abs(found - metrics.top_label_ece(binary(levels, right))) > 1e-3


def test_what_debiasing_leaves_of_the_bias():
    # One bin, calibrated: E|g| = s sqrt(2 / pi), of which sqrt(2) - 1 goes.
    rng = np.random.default_rng(0)
    n, trials = 400, 4000
    right = rng.binomial(n, 0.8, size=(trials, 1))
    gap = 0.8 - right / n
    square = 0.64 + right / n * (1 - 1.6)
    like = metrics.top_label_bins(binary([0.8] * n, [True] * n))
    stats = type(like)(like.count, like.confidence, right / n, square, like.lo, like.hi)
    left = size_less_bias(stats).mean() / np.abs(gap).mean()
    assert left == pytest.approx(2 - math.sqrt(2), abs=0.03)


def test_an_interval_reaches_to_its_number():
    some = binary([0.75] * 4, [True, True, True, False])
    lo, hi = intervals.of_size_less_bias(metrics.top_label_bins(some), 0.95)
    assert lo == metrics.debiased_l1(some) < 0 < hi
    # A hundred bins of 20, each off by one deviation: what noise alone would make.
    confidence = np.repeat((np.arange(100) + 100.5) / 201, 20)
    deviation = np.sqrt(confidence * (1 - confidence) / 20)
    right = np.tile(np.arange(20), 100) < np.round(20 * (confidence - deviation))
    stats = metrics.top_label_bins(binary(confidence, right), num_bins=100)
    lo, hi = intervals.of_root_mean_square(stats, 0.95)
    value = float(root_mean_square(stats))
    assert 0 <= lo < value == hi
    assert intervals.of_pair_products(stats, 0.95)[1] < value**2


def test_of_two_classes_the_top_k_of_the_panel_is_the_predicted_class():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 200)
    some = binary(confidence, rng.random(200) < confidence)
    found = metrics.evaluate(some, replicates=50).measurements
    one, other = found["top_k_ece"], found["top_label_ece"]
    assert (one.value, one.interval, one.floor) == (
        other.value,
        other.interval,
        other.floor,
    )


def test_claims_of_more_than_all_are_of_all():
    # The row sums to a rounding above 1.
    some = Predictions.from_probs([[0.5, 0.5 + 2e-10, 0.0]], [0])
    assert metrics.top_k_ece(some, k=2) == 0


def test_a_sweep_stops_at_the_first_fall():
    # Right: 0 1 0 1 1 1. Two bins: 1/3, 1. Three: 1/2, 1/2, 1. Four {0 1} {2} falls.
    confidence = [0.6, 0.65, 0.7, 0.75, 0.8, 0.85]
    some = binary(confidence, [False, True, False, True, True, True])
    assert metrics.sweep_num_bins(some) == 3
    assert metrics.ece_sweep(some) == pytest.approx(
        (abs(1.25 - 1) + abs(1.45 - 1) + abs(1.65 - 2)) / 6, abs=1e-15
    )


def test_a_finer_rise_behind_a_fall_is_not_seen():
    # Right: 1 0 0 | 0 1 1 with ties: two bins rise (1/3, 2/3), three fall (1/2, 0).
    some = binary(
        [0.6, 0.65, 0.7, 0.75, 0.8, 0.85], [True, False, False, False, True, True]
    )
    assert metrics.sweep_num_bins(some) == 2
    # Two bins of three fall; six bins of equal pairs would not be tried.
    some = binary([0.6, 0.9], [True, False])
    assert metrics.sweep_num_bins(some) == 1


def test_equal_accuracies_ascend_as_far_as_there_are_examples():
    assert metrics.sweep_num_bins(binary([0.6, 0.7, 0.8], [True] * 3)) == 3
    assert metrics.sweep_num_bins(binary([0.8] * 7, [True, False] * 3 + [True])) == 7
    rising = np.linspace(0.5, 1, 200)
    assert metrics.sweep_num_bins(binary(rising, rising > 0.7)) == 200
    # One fall at the finest: 0 and 1 change places where right begins.
    right = np.arange(200) >= 100
    right[[99, 100]] = True, False
    assert 64 < metrics.sweep_num_bins(binary(rising, right)) < 200


def test_no_more_bins_than_any_binning_takes():
    groups = Groups(np.ones(MOST_BINS + 5, dtype=np.int64), np.ones(MOST_BINS + 5))
    assert groups.most_bins == MOST_BINS
    right = np.ones((1, MOST_BINS + 5), dtype=np.int64)
    assert largest_ascending(groups, right).tolist() == [MOST_BINS]


def test_the_definition_tells_the_number_of_bins():
    some = binary(
        [0.6, 0.65, 0.7, 0.75, 0.8, 0.85] * 6,
        [False, True, False, True, True, True] * 6,
    )
    found = metrics.evaluate(some, replicates=9).measurements
    assert found["ece_sweep"].definition.num_bins == 3
    assert found["ece_sweep"].definition.scheme == "equal_mass"


def test_a_sum_over_classes():
    some = Predictions.from_probs([[0.75, 0.25, 0.0]] * 2, [0, 1])
    assert metrics.classwise_ece(some, reduction="sum") == 0.5
    with pytest.raises(ParameterError, match="unknown reduction 'max'"):
        metrics.classwise_ece(some, reduction="max")


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    some = Predictions.from_probs([[0.75, 0.25]], [0])
    with pytest.raises(ParameterError, match="threshold must be in"):
        metrics.thresholded_classwise_ece(some, threshold=threshold)
    with pytest.raises(ParameterError, match="num_bins must be at least 1"):
        metrics.thresholded_classwise_ece(some, threshold=1.0, num_bins=0)


def test_the_sum_scales_interval_and_floor():
    floor = NoiseFloor(mean=0.125, p95=0.25, p_value=0.5, replicates=9)
    found = of_class_sum(0.25, (0.125, 0.5), floor, 5)
    assert found == (1.25, (0.625, 2.0), NoiseFloor(0.625, 1.25, 0.5, 9))
    assert of_class_sum(0.25, None, None, 5) == (1.25, None, None)

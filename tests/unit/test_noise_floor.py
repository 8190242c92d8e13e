"""Floors where the law of the redrawn error is known in closed form."""

import math

import numpy as np
import pytest

from calibench import metrics
from calibench.binning import Bins, equal_width, summarize
from calibench.errors import ParameterError
from calibench.metrics import redraw_smooth
from calibench.metrics.calibration_error import (
    largest_size,
    mean_excess,
    mean_shortfall,
    pair_products,
)
from calibench.metrics.redraw import (
    Drawing,
    redrawn_bins,
    redrawn_correct,
)
from calibench.metrics.redraw_labels import redrawn_labels
from calibench.metrics.redraw_smooth import redrawn_smooth
from calibench.predictions import Predictions


def binary(confidence, correct):
    confidence = np.asarray(confidence)
    probs = np.stack([confidence, 1 - confidence], axis=1)
    return Predictions.from_probs(probs, np.where(correct, 0, 1))


def test_one_example_is_a_coin():
    # |.75 - a| is .25 three times in four, else .75: mean .375. Observed .25, which
    # every replicate reaches.
    floor = metrics.noise_floor(binary([0.75], [True]), replicates=20_000)
    assert floor.mean == pytest.approx(0.375, abs=4 * 0.217 / math.sqrt(20_000))
    assert (floor.p95, floor.p_value, floor.replicates) == (0.75, 1.0, 20_000)


def test_the_p_value_counts_ties_and_itself():
    # Observed .75, which a quarter of the replicates reach exactly.
    floor = metrics.noise_floor(binary([0.75], [False]), replicates=20_000)
    assert floor.p_value == pytest.approx(0.25, abs=0.015)
    assert (floor.p_value * 20_001) == pytest.approx(round(floor.p_value * 20_001))


def test_the_count_in_a_bin_is_not_binomial():
    # One bin, half at c = 0.5 and half at c = 1: the sum of a has variance n/2 * 1/4,
    # where a binomial at the mean .75 would have n * 3/16, half as much again.
    n = 400
    some = binary(np.repeat([0.5, 1.0], n // 2), np.ones(n, dtype=bool))
    redrawn = redrawn_bins(
        equal_width(some.confidence, 1), Drawing(some.confidence, 4000, 0)
    )
    counts = redrawn.accuracy[:, 0] * n
    assert counts.var() == pytest.approx(n / 8, rel=0.1)


def test_certain_predictions_have_no_noise():
    some = binary([1.0] * 5, [True] * 4 + [False])
    floor = metrics.noise_floor(some, replicates=99)
    assert (floor.mean, floor.p95, floor.p_value) == (0, 0, 1 / 100)


def test_the_size_of_the_floor_in_large_bins():
    # The mean of n_b draws has variance mean(c (1 - c)) / n_b and is nearly normal,
    # whose mean absolute value is sqrt(2 / pi) standard deviations.
    rng = np.random.default_rng(0)
    confidence = 0.5 + 0.5 * rng.beta(4, 1, 10_000)
    some = binary(confidence, rng.random(10_000) < confidence)
    index = np.ceil(confidence * 15)
    expected = 0.0
    for b in np.unique(index):
        members = confidence[index == b]
        deviation = math.sqrt((members * (1 - members)).mean() / len(members))
        expected += len(members) / 10_000 * math.sqrt(2 / math.pi) * deviation
    floor = metrics.noise_floor(some)
    assert 0.005 < expected < 0.006
    assert floor.mean == pytest.approx(expected, rel=0.03)
    assert 1.3 < floor.p95 / floor.mean < 1.7


def test_the_p_value_of_a_calibrated_model_is_uniform():
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0.5, 1, 200)
    p_values = np.array(
        [
            metrics.noise_floor(
                binary(confidence, rng.random(200) < confidence),
                replicates=99,
                seed=trial,
            ).p_value
            for trial in range(300)
        ]
    )
    # Kolmogorov distance from uniform: below 1.63 / sqrt(n) with probability 99 %.
    grid = np.arange(1, 301) / 300
    assert np.abs(np.sort(p_values) - grid).max() < 1.63 / math.sqrt(300)


def test_any_functional_of_bins_has_a_floor():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1, 500)
    some = binary(confidence, rng.random(500) < confidence)
    mean = {
        functional.__name__: metrics.noise_floor(some, functional=functional).mean
        for functional in (mean_excess, mean_shortfall, largest_size, pair_products)
    }
    whole = metrics.noise_floor(some).mean
    assert mean["mean_excess"] + mean["mean_shortfall"] == pytest.approx(whole)
    assert mean["largest_size"] > whole
    # Unbiased: 0 up to the noise of 1,000 replicates, far below the squared floor.
    assert abs(mean["pair_products"]) < 0.1 * whole**2


def test_redrawn_bins_summarize_as_any_other_data():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0, 1, 60)
    bins = equal_width(confidence, 7)
    redrawn = redrawn_bins(bins, Drawing(confidence, 5, 11))
    order = np.lexsort((confidence, bins.index))
    drawn = np.concatenate(list(redrawn_correct(confidence[order], 5, 11)))
    for replicate in range(5):
        correct = np.empty(60, dtype=bool)
        correct[order] = drawn[replicate]
        stats = summarize(bins, confidence, correct)
        assert redrawn.accuracy[replicate].tolist() == stats.accuracy.tolist()
        assert redrawn.squared_gap[replicate] == pytest.approx(
            stats.squared_gap, abs=1e-14
        )
    assert redrawn.confidence.tolist() == stats.confidence.tolist()
    assert redrawn.count.tolist() == stats.count.tolist()
    assert redrawn.lo.tolist() == stats.lo.tolist()


def test_a_drawing_is_the_same_kept_or_not_and_for_bins_that_do_not_rise(monkeypatch):
    rng = np.random.default_rng(5)
    confidence = rng.integers(1, 12, 70) / 12
    drawing = Drawing(confidence, 30, 2)
    drawn = np.concatenate(list(drawing.right()))
    assert drawn.tolist() == np.concatenate(list(drawing.right())).tolist()
    bins = equal_width(confidence, 6)
    kept = redrawn_bins(bins, drawing)
    # In falling order the bins are the same, but examples are drawn from the top.
    falling = redrawn_bins(Bins(5 - bins.index, bins.edges), drawing)
    whole = np.concatenate(list(redrawn_correct(np.sort(confidence), 30, 2)))
    assert drawn.tolist() == whole.tolist()
    monkeypatch.setattr("calibench.metrics.redraw._MOST_KEPT", 1)
    again = Drawing(confidence, 30, 2)
    assert np.concatenate(list(again.right())).tolist() == drawn.tolist()
    for name in ("accuracy", "squared_gap", "confidence"):
        one = getattr(kept, name)
        assert one.tolist() == getattr(redrawn_bins(bins, again), name).tolist()
        assert one.shape == getattr(falling, name).shape
    assert falling.confidence.tolist() == kept.confidence[::-1].tolist()
    without = redrawn_bins(bins, drawing, squares=False)
    assert without.accuracy.tolist() == kept.accuracy.tolist()
    assert np.isnan(without.squared_gap).all()


def test_blocks_do_not_change_the_draws(monkeypatch):
    some = binary([0.6, 0.7, 0.8], [True, True, False])
    floor = metrics.noise_floor(some, replicates=50)
    (whole,) = redrawn_correct(some.confidence, 50, 0)
    monkeypatch.setattr("calibench.metrics.redraw._BLOCK", 7)
    parts = list(redrawn_correct(some.confidence, 50, 0))
    assert {len(part) for part in parts} == {2}
    assert np.array_equal(np.concatenate(parts), whole)
    assert metrics.noise_floor(some, replicates=50) == floor


@pytest.mark.parametrize("num_classes", [2, 3, 4, 7])
def test_labels_are_drawn_with_their_probabilities(num_classes):
    probs = np.arange(1, num_classes + 1) / np.arange(1, num_classes + 1).sum()
    rows = np.stack([probs, probs[::-1]])
    drawn = np.concatenate(list(redrawn_labels(rows, 20_000, 0)))
    for example in range(2):
        shares = np.bincount(drawn[:, example], minlength=num_classes) / 20_000
        assert len(shares) == num_classes
        assert shares == pytest.approx(rows[example], abs=4 * 0.5 / math.sqrt(20_000))


@pytest.mark.parametrize("num_classes", [2, 3, 16, 17, 100])
def test_labels_are_the_same_however_they_are_found(num_classes, monkeypatch):
    rng = np.random.default_rng(num_classes)
    rows = rng.dirichlet(np.full(num_classes, 0.3), size=40)
    rows[0] = np.eye(num_classes)[num_classes - 1]
    found = np.concatenate(list(redrawn_labels(rows, 50, 1)))
    monkeypatch.setattr("calibench.metrics.redraw_labels._CACHED", 7)
    again = np.concatenate(list(redrawn_labels(rows, 50, 1)))
    monkeypatch.setattr("calibench.metrics.redraw_labels._FEW_CLASSES", 0)
    by_halves = np.concatenate(list(redrawn_labels(rows, 50, 1)))
    assert found.tolist() == again.tolist() == by_halves.tolist()
    uniform = np.random.default_rng(1).random((50, 40))
    upto = np.cumsum(rows, axis=1)[:, :-1]
    assert found.tolist() == (uniform[:, :, None] >= upto).sum(axis=2).tolist()


def test_a_class_of_probability_zero_is_never_drawn():
    rows = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    drawn = np.concatenate(list(redrawn_labels(rows, 1000, 0)))
    assert (drawn == [1, 2, 0]).all()


def test_no_replicates_are_refused():
    with pytest.raises(ParameterError, match="replicates must be at least 1, got 0"):
        metrics.noise_floor(binary([0.75], [True]), replicates=0)


@pytest.mark.parametrize("confidence", [[0.7, 0.9], [0.5, 1.0, 1.0], [1.0, 1.0]])
def test_replicates_that_are_alike_are_scored_once(confidence, monkeypatch):
    """With the same bits as one by one."""
    confidence = np.array(confidence)
    found = redrawn_smooth(Drawing(confidence, 60, seed=1))
    monkeypatch.setattr(redraw_smooth, "_FEW", -1)
    assert redrawn_smooth(Drawing(confidence, 60, seed=1)).tolist() == found.tolist()

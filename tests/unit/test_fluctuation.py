import math

import numpy as np
import pytest

from calibench.metrics import top_label_ece
from calibench.metrics.calibration_error import top_label_bins
from calibench.metrics.fluctuation import ece_fluctuation
from calibench.metrics.intervals import most_bias
from calibench.metrics.paired import standard_error
from calibench.predictions import Predictions

SHARP = (2.0, 3.0, 2.2, 4.0, 2.4)
NEAR = (1.0, 1.8, 1.1, 2.2, 1.4)  # back and forth between calibrated and not


def epochs(num_examples, sharpness=SHARP, seed=0, noise=0.0):
    """The same examples, answered with another sharpness in each epoch."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(0, 1.5, (num_examples, 3))
    chance = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    drawn = generator.random((num_examples, 1)) > chance.cumsum(axis=1)
    labels = drawn[:, :2].sum(axis=1)
    return [
        Predictions.from_logits(
            each * (truth + noise * generator.normal(size=truth.shape)), labels
        )
        for each in sharpness
    ]


def test_what_is_seen_is_the_mean_square_of_the_changes():
    some = epochs(200)
    changes = np.diff([top_label_ece(each) for each in some])
    assert ece_fluctuation(some).seen == pytest.approx(np.mean(changes**2), rel=1e-12)


def test_two_epochs_by_hand():
    # Confidence 3/4 twice, one right: gaps -1/4 and 3/4 in one bin, so ECE 1/4. Then
    # confidence 1: gaps 0 and 1, ECE 1/2. The changes of the terms are 1/4 and 1/4.
    labels = [0, 1]
    before = Predictions.from_probs([[0.75, 0.25], [0.75, 0.25]], labels)
    after = Predictions.from_probs([[1.0, 0.0], [1.0, 0.0]], labels)
    found = ece_fluctuation([before, after])
    assert (found.seen, found.mean_square) == (1 / 16, 1 / 16)
    assert found.influence.tolist() == [0.0, 0.0]


def test_an_epoch_like_the_one_before_is_no_change():
    found = ece_fluctuation(epochs(50, (2.0, 2.0, 2.0)))
    assert (found.seen, found.mean_square) == (0.0, 0.0)


def test_chance_does_not_lift_the_mean_square():
    # In one bin, whose gap is far from 0, ECE has no bias of its own; and it hardly
    # changes between epochs that differ by what they happen to answer alone.
    alike = (3.0, 3.0, 3.0, 3.0)
    truth = ece_fluctuation(epochs(100_000, alike, noise=1.0), num_bins=1).mean_square
    found = [
        ece_fluctuation(epochs(300, alike, seed, noise=1.0), num_bins=1)
        for seed in range(300)
    ]
    squares = np.array([each.mean_square for each in found])
    error = squares.std() / math.sqrt(len(squares))
    assert squares.mean() == pytest.approx(truth, abs=3 * error)
    assert np.mean([each.seen for each in found]) > truth + 10 * error


def test_its_standard_error_is_that_of_other_test_sets():
    found = [ece_fluctuation(epochs(400, seed=s), num_bins=1) for s in range(300)]
    spread = np.std([each.mean_square for each in found])
    errors = np.mean([standard_error(each.influence) for each in found])
    # The spread of 300 is known to 4 %.
    assert errors == pytest.approx(spread, rel=0.15)


def test_the_bias_of_a_change_is_that_of_both_ends():
    before, after = epochs(300, (1.2, 2.0))
    change = top_label_ece(after) - top_label_ece(before)
    start, end = (most_bias(top_label_bins(each)) for each in (before, after))
    # The change may be too high by the bias at its end, too low by that at its start.
    low, high = change - end, change + start
    assert 0 < end < change
    found = ece_fluctuation([before, after])
    assert found.down == pytest.approx(change**2 - low**2)
    assert found.up == pytest.approx(high**2 - change**2)
    back = ece_fluctuation([after, before])
    assert (back.down, back.up) == pytest.approx((found.down, found.up))


@pytest.mark.parametrize("num_examples", [300, 1000])
@pytest.mark.parametrize("sharpness", [SHARP, NEAR])
def test_the_interval_covers(num_examples, sharpness):
    truth = ece_fluctuation(epochs(400_000, sharpness)).mean_square
    missed, tries = 0, 120
    for seed in range(tries):
        found = ece_fluctuation(epochs(num_examples, sharpness, 1000 + seed))
        reach = 1.96 * standard_error(found.influence)
        low = found.mean_square - found.down - reach
        missed += not low <= truth <= found.mean_square + found.up + reach
    # 5 % of 120 are 6, with a standard deviation of 2.4.
    assert missed <= 13

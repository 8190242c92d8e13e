"""Small cases with the arithmetic beside them."""

import math

import numpy as np
import pytest

from calibench import metrics
from calibench.errors import DataError, ParameterError
from calibench.metrics.smooth import KernelSums
from calibench.predictions import Predictions


def binary(confidence, correct):
    """Predict class 0 with each confidence; the label is 0 where that is correct."""
    confidence = np.array(confidence)
    probs = np.stack([confidence, 1 - confidence], axis=1)
    return Predictions.from_probs(probs, np.where(correct, 0, 1))


# Bins of 15: 0.75 is in (11/15, 12/15], 0.875 in (13/15, 14/15], 1 in (14/15, 1].
FOUR = binary([0.75, 0.75, 0.875, 1.0], [True, False, True, True])


def test_a_hand_calculation():
    # Bin of 0.75: gap .75 - .5 = .25, weight 1/2. Bin of 0.875: gap -.125, weight 1/4.
    # Bin of 1: gap 0.
    assert metrics.top_label_ece(FOUR) == 0.25 / 2 + 0.125 / 4
    assert metrics.overconfidence(FOUR) == 0.25 / 2
    assert metrics.underconfidence(FOUR) == 0.125 / 4
    assert metrics.max_calibration_error(FOUR) == 0.25
    assert metrics.confidence_gap(FOUR) == 0.84375 - 0.75
    assert metrics.rms_calibration_error(FOUR) == pytest.approx(
        math.sqrt(0.25**2 / 2 + 0.125**2 / 4), abs=1e-15
    )
    # Only the bin of 0.75 has a pair: gaps -.25 and .75, [.5^2 - (.0625 + .5625)] / 1.
    assert metrics.debiased_l2(FOUR) == (0.25 - 0.625) / 4
    # Squares of (1 - p of the label), twice: for two classes both terms are equal.
    assert metrics.brier(FOUR) == 2 * (0.0625 + 0.5625 + 0.015625 + 0) / 4
    assert metrics.nll(FOUR) == pytest.approx(
        -(math.log(0.75) + math.log(0.25) + math.log(0.875)) / 4, abs=1e-15
    )
    assert (metrics.accuracy(FOUR), metrics.error_rate(FOUR)) == (0.75, 0.25)


def test_equal_mass_on_the_same_case():
    # Ranks 0 0 2 3 of 4 in 2 bins: {.75, .75} gap .25 and {.875, 1} gap -.0625.
    value = metrics.top_label_ece(FOUR, num_bins=2, scheme="equal_mass")
    assert value == 0.5 * 0.25 + 0.5 * 0.0625


def test_classwise_averages_over_classes():
    # Class 0: .75 twice, labeled once: |.75 - .5|. Classes 1, 2: .25 - .5 and 0 - 0.
    some = Predictions.from_probs([[0.75, 0.25, 0.0]] * 2, [0, 1])
    assert metrics.classwise_ece(some) == (0.25 + 0.25 + 0) / 3


def test_classwise_runs_on_across_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    some = Predictions.from_logits(rng.normal(size=(50, 7)), rng.integers(7, size=50))
    whole = metrics.classwise_ece(some)
    monkeypatch.setattr("calibench.metrics.classwise._BLOCK", 100)
    assert metrics.classwise_ece(some) == whole


@pytest.mark.parametrize("scheme", ["equal_width", "equal_mass"])
def test_certain_and_right_is_calibrated(scheme):
    some = Predictions.from_logits(1000.0 * np.eye(3), np.arange(3))
    assert metrics.top_label_ece(some, scheme=scheme) == 0
    assert metrics.classwise_ece(some, scheme=scheme) == 0
    assert metrics.nll(some) == metrics.brier(some) == metrics.smooth_ece(some) == 0


@pytest.mark.parametrize("scheme", ["equal_width", "equal_mass"])
def test_certain_and_wrong_is_as_bad_as_it_gets(scheme):
    some = Predictions.from_logits(1000.0 * np.eye(3), np.array([1, 2, 0]))
    assert metrics.top_label_ece(some, scheme=scheme) == 1
    assert metrics.smooth_ece(some) == 1
    assert metrics.brier(some) == 2
    assert metrics.nll(some) == 1000


def test_a_label_of_probability_zero_costs_infinitely_much():
    some = Predictions.from_probs([[1.0, 0.0]], [1])
    assert metrics.nll(some) == math.inf
    assert metrics.scalars(some)["nll"] == math.inf


def test_huge_logits_keep_their_loss():
    # The probability of the label underflows; its logarithm does not.
    some = Predictions.from_logits([[1e4, -1e4], [1e300, -1e300]], [1, 0])
    assert metrics.nll(some) == 1e4


def test_one_example_of_one_class():
    values = metrics.scalars(Predictions.from_probs([[0.25, 0.75]], [1]))
    assert values["top_label_ece"] == values["smooth_ece"] == 0.25
    assert values["underconfidence"] == 0.25
    assert values["debiased_l2"] == 0


def test_many_classes():
    num_classes = 100_000
    logits = np.zeros((2, num_classes))
    logits[:, 5] = math.log(num_classes - 1)
    some = Predictions.from_logits(logits, [5, 0])
    # p = (K - 1) / (2 (K - 1)) = 1/2 on class 5; a tie in nothing else.
    assert metrics.top_label_ece(some) == pytest.approx(0, abs=1e-10)
    assert metrics.error_rate(some) == 0.5


def test_smooth_error_keeps_the_mass_at_an_endpoint():
    # 90 % at confidence 1 all right, 10 % at .5 all wrong: .1 * .5 before smoothing,
    # and all gaps have one sign, so smoothing cannot cancel anything.
    some = binary([1.0] * 90 + [0.5] * 10, [True] * 90 + [False] * 10)
    # A tie at .5 predicts class 0, whose label is 1 here: wrong.
    assert metrics.smooth_ece(some) == pytest.approx(0.05, abs=1e-15)


def test_the_kernel_itself_keeps_the_mass_at_an_endpoint():
    # As above, but through the kernel: 10 % at confidence 1 wrong (gap 1) and far
    # away, with a kernel too narrow to let them meet, 20 % at .5 right (gap -.5).
    confidence = np.repeat([1.0, 0.5, 0.0], [10, 20, 70])
    gap = np.repeat([1.0, -0.5, 0.0], [10, 20, 70])
    error = KernelSums(confidence, gap, len(gap)).error(0.02)
    assert error == pytest.approx(0.1 * 1 + 0.2 * 0.5, abs=1e-9)


def test_smooth_error_cancels_close_gaps_and_not_distant_ones():
    close = binary([0.70, 0.71] * 50, [True, False] * 50)
    far = binary([0.55, 1.0] * 50, [True, False] * 50)
    # Mean gaps: .705 - .5, all that is left of the close pair, and .775 - .5. Without
    # smoothing each would be (.3 + .71) / 2 = .505 and (.45 + 1) / 2 = .725.
    assert metrics.smooth_ece(close) == pytest.approx(0.205, abs=0.005)
    assert metrics.smooth_ece(far) > 0.275 + 0.05


def test_true_error_compares_example_by_example():
    some = Predictions.from_probs([[0.75, 0.25], [0.25, 0.75]], [0, 0])
    # Predicted 0 then 1; truth .5 and .75.
    posterior = [[0.5, 0.5], [0.25, 0.75]]
    assert metrics.true_calibration_error(some, posterior) == (0.25 + 0) / 2


def test_a_posterior_of_another_shape_is_refused():
    some = Predictions.from_probs([[0.75, 0.25]], [0])
    with pytest.raises(DataError, match=r"posterior has shape \(1, 3\)"):
        metrics.true_calibration_error(some, [[0.5, 0.25, 0.25]])


def test_a_posterior_that_is_none_is_refused_by_its_name():
    some = Predictions.from_probs([[0.75, 0.25]], [0])
    with pytest.raises(DataError, match=r"posterior: 0\.9 in row 0 .* is the sum"):
        metrics.true_calibration_error(some, [[0.5, 0.4]])


def test_no_bins_are_refused():
    with pytest.raises(ParameterError, match="num_bins must be at least 1, got 0"):
        metrics.scalars(FOUR, num_bins=0)

"""Every binned metric against its definition in exact fractions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench import metrics
from calibench.predictions import Predictions
from reference import exact_metrics as exact
from reference import smooth_error
from strategies import edge_predictions, predictions

BINNED = [
    "top_label_ece",
    "max_calibration_error",
    "overconfidence",
    "underconfidence",
    "debiased_l2",
    "classwise_ece",
]
SCHEMES = ["equal_width", "equal_mass"]
SOMETIMES_ON_AN_EDGE = st.sampled_from([1, 2, 3, 5, 6, 7, 10, 15, 20, 49]).flatmap(
    lambda num_bins: st.tuples(
        st.just(num_bins), predictions(max_examples=12) | edge_predictions(num_bins)
    )
)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", BINNED)
@given(case=SOMETIMES_ON_AN_EDGE)
def test_binned_metrics_match_the_definition(name, scheme, case):
    num_bins, some = case
    expected = getattr(exact, name)(some.probs, some.labels, num_bins, scheme)
    value = getattr(metrics, name)(some, num_bins=num_bins, scheme=scheme)
    assert abs(value - float(expected)) <= 1e-12


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=SOMETIMES_ON_AN_EDGE)
def test_the_debiased_size_matches_the_definition(scheme, case):
    num_bins, some = case
    expected = exact.debiased_l1(some.probs, some.labels, num_bins, scheme)
    value = metrics.debiased_l1(some, num_bins=num_bins, scheme=scheme)
    # Squares are cut to multiples of 2^-60, of which the noise is a root.
    assert abs(value - expected) <= 2.0**-29


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=SOMETIMES_ON_AN_EDGE)
def test_classwise_squares_match_the_definition(scheme, case):
    num_bins, some = case
    square = exact.squared_classwise_rms_error(
        some.probs, some.labels, num_bins, scheme
    )
    value = metrics.classwise_rms_error(some, num_bins=num_bins, scheme=scheme)
    assert abs(value - math.sqrt(square)) <= 1e-12
    assert (
        value >= metrics.classwise_ece(some, num_bins=num_bins, scheme=scheme) - 1e-12
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=SOMETIMES_ON_AN_EDGE, threshold=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_classwise_above_a_threshold_matches_the_definition(scheme, case, threshold):
    num_bins, some = case
    options = {"num_bins": num_bins, "scheme": scheme}
    expected = exact.thresholded_classwise_ece(
        some.probs, some.labels, threshold, num_bins, scheme
    )
    value = metrics.thresholded_classwise_ece(some, threshold=threshold, **options)
    assert abs(value - float(expected)) <= 1e-12
    if threshold == 0:
        assert abs(value - metrics.classwise_ece(some, **options)) <= 1e-12


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=SOMETIMES_ON_AN_EDGE)
def test_rms_matches_the_definition(scheme, case):
    num_bins, some = case
    square = exact.squared_rms_calibration_error(
        some.probs, some.labels, num_bins, scheme
    )
    value = metrics.rms_calibration_error(some, num_bins=num_bins, scheme=scheme)
    assert abs(value - math.sqrt(square)) <= 1e-12


@pytest.mark.parametrize("name", ["brier", "error_rate", "confidence_gap"])
@given(case=SOMETIMES_ON_AN_EDGE)
def test_averages_match_the_definition(name, case):
    _, some = case
    expected = getattr(exact, name)(some.probs, some.labels)
    assert abs(getattr(metrics, name)(some) - float(expected)) <= 1e-12


@given(predictions())
def test_nll_matches_a_sum_over_examples(some):
    expected = 0.0
    for row, label in zip(some.logits.tolist(), some.labels.tolist(), strict=True):
        top = max(row)
        total = math.fsum(math.exp(z - top) for z in row)
        expected += top + math.log(total) - row[label]
    assert metrics.nll(some) == pytest.approx(
        expected / some.num_examples, rel=1e-12, abs=1e-12
    )


@given(predictions(max_classes=3), st.integers(0, 2**32 - 1))
def test_true_error_matches_the_definition(some, seed):
    rng = np.random.default_rng(seed)
    posterior = rng.dirichlet(np.ones(some.num_classes), some.num_examples)
    expected = exact.true_calibration_error(some.probs, posterior)
    value = metrics.true_calibration_error(some, posterior)
    assert abs(value - float(expected)) <= 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_smooth_ece_matches_the_integral_and_the_fixed_point(seed):
    rng = np.random.default_rng(seed)
    # A fifth of the mass on each end of the range, where reflection matters.
    p = np.concatenate([rng.uniform(0.5, 1, 24), np.ones(8), np.full(8, 0.5)])
    some = two_columns(p, rng.random(40) < 0.7)
    expected = smooth_error.smooth_ece(some.confidence, some.confidence - some.correct)
    # The reference integrates |f| by the midpoint rule, good to 1e-9 at these kinks.
    assert metrics.smooth_ece(some) == pytest.approx(expected, abs=1e-8)


def two_columns(confidence, correct):
    probs = np.stack([confidence, 1 - confidence], axis=1)
    return Predictions.from_probs(probs, np.where(correct, 0, 1))

"""Kernel estimates equal slow definitions, whatever is divided into strips."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench import metrics
from calibench.metrics import canonical, kernel_strips
from calibench.metrics.canonical import NORMS, DirichletKernel
from calibench.metrics.kernel_strips import SortedExamples, class_sums
from calibench.metrics.log_gamma import log_gamma
from calibench.metrics.skce import PairStatistics
from calibench.predictions import Predictions
from reference import canonical_error as reference

INVERSE_BANDWIDTH = 8


@st.composite
def examples(draw, most_classes=4):
    """(probabilities in eighths, labels), zeros and equal rows among them."""
    n, k = draw(st.integers(1, 9)), draw(st.integers(2, most_classes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cuts = np.sort(rng.integers(0, 9, (n, k - 1)), axis=1)
    probs = np.diff(cuts, axis=1, prepend=0, append=8) / 8
    return probs, rng.integers(k, size=n)


@given(examples(), st.sampled_from(["l1", "l2 squared"]))
def test_dirichlet_error_equals_exact_fractions(drawn, norm):
    probs, labels = drawn
    some = Predictions.from_probs(probs, labels)
    value = metrics.canonical_calibration_error(
        some, norm=norm, bandwidth=1 / INVERSE_BANDWIDTH
    )
    exact = reference.dirichlet_error(probs, labels, INVERSE_BANDWIDTH, norm)
    assert value == pytest.approx(float(exact), abs=1e-12)


@given(examples(), st.sampled_from([0.1, 0.5, 2.0]))
def test_kernel_error_equals_the_sum_over_pairs(drawn, bandwidth):
    probs, labels = drawn
    some = Predictions.from_probs(probs, labels)
    value = metrics.squared_kernel_calibration_error(some, bandwidth=bandwidth)
    if len(labels) == 1:
        assert value == 0
        return
    expected = reference.kernel_error(probs, labels, bandwidth)
    assert value == pytest.approx(expected, abs=1e-13)


def soft(n=60, k=3, seed=0, sharpness=1.0):
    """Predictions of sharpened logits, labels drawn from those before."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k))
    labels = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    return Predictions.from_logits(sharpness * logits, labels)


def test_the_likeliest_bandwidth_is_the_best_of_the_grid():
    some = soft(n=25)
    score = [reference.log_likelihood(some.probs, h) for h in canonical.BANDWIDTHS]
    chosen = canonical.likeliest_bandwidth(SortedExamples(some))
    assert chosen == canonical.BANDWIDTHS[int(np.argmax(score))]
    # Inside the grid, so that the choice is one.
    assert canonical.BANDWIDTHS[0] < chosen < canonical.BANDWIDTHS[-1]


@pytest.mark.parametrize("num_classes", [3, 20])
def test_strips_blocks_and_redrawn_labels_change_nothing(monkeypatch, num_classes):
    some = soft(n=40, k=num_classes)
    drawn = SortedExamples(some).redrawn_labels(7, seed=1)

    def found():
        these = SortedExamples(some)
        kernel = DirichletKernel.of(these)
        pairs = PairStatistics.of(these, redrawn=these.redrawn_labels(7, seed=1))
        errors = kernel.errors(np.concatenate([these.labels, drawn]), NORMS["l1"])
        return [kernel.bandwidth, *errors, pairs.value, *pairs.redrawn]

    whole = found()
    monkeypatch.setattr(kernel_strips, "_STRIP", 40 * 7)
    monkeypatch.setattr(kernel_strips, "_BLOCK", num_classes * 11)
    assert found() == pytest.approx(whole, rel=1e-12)
    # Each redrawn set of labels is scored as labels are.
    ordered = SortedExamples(some).probs(slice(None))
    for i, labels in enumerate(drawn):
        again = Predictions.from_probs(ordered, labels)
        error = metrics.canonical_calibration_error(again, bandwidth=whole[0])
        assert error == pytest.approx(whole[2 + i], rel=1e-12)
        error = metrics.squared_kernel_calibration_error(again)
        assert error == pytest.approx(whole[10 + i], rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("num_classes", [2, 16, 17])
def test_sums_by_class_are_those_of_one_hot_labels(num_classes):
    rng = np.random.default_rng(0)
    weights = rng.random((5, 30))
    labels = rng.integers(num_classes, size=(4, 30)).astype(np.uint32)
    for sums, each in zip(
        class_sums(weights, labels, num_classes), labels, strict=True
    ):
        assert sums == pytest.approx(weights @ np.eye(num_classes)[each], rel=1e-13)


def test_redrawn_labels_follow_the_probabilities():
    probs = np.array([[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0]])
    these = SortedExamples(Predictions.from_probs(probs, [0, 0]))
    drawn = these.redrawn_labels(4000, seed=0)
    for row, labels in zip(these.probs(slice(None)), drawn.T, strict=True):
        share = np.bincount(labels, minlength=4) / 4000
        assert share == pytest.approx(row, abs=4 * math.sqrt(0.25 / 4000))
        assert share[row == 0].tolist() == [0] * int((row == 0).sum())


@given(st.floats(1, 1e7))
def test_log_gamma(x):
    found = float(log_gamma(np.array([x]))[0])
    assert found == pytest.approx(math.lgamma(x), rel=2e-15, abs=4e-14)

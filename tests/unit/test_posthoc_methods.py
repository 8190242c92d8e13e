"""Exact small cases of every calibrator, with the arithmetic."""

import math
import subprocess
import sys

import numpy as np
import pytest

from calibench import metrics, posthoc
from calibench.errors import DataError, FitError, LeakageError, ParameterError
from calibench.posthoc import (
    CALIBRATORS,
    Dirichlet,
    FocalLink,
    HistogramBinning,
    Isotonic,
    MatrixScaling,
    OrderPreservingIsotonic,
    VectorScaling,
)
from calibench.predictions import Predictions
from calibrator_settings import SETTINGS_OF


def drawn_from(weights, intercepts, num_examples=20_000):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(num_examples, len(intercepts)))
    true = logits @ np.asarray(weights).T + intercepts
    labels = (true + rng.gumbel(size=true.shape)).argmax(axis=1)
    return Predictions.from_logits(logits, labels)


def test_vector_scaling_in_closed_form():
    # Two classes, log-odds 2 x for x = -1 or 1. After x = 1, class 1 came 3 of 4 times
    # and after x = -1 once in 4: so the log-odds are x ln 3, and nothing is shifted.
    logits = [[1.0, -1.0]] * 4 + [[-1.0, 1.0]] * 4
    some = Predictions.from_logits(logits, [0, 0, 0, 1, 1, 1, 1, 0])
    fitted = VectorScaling.fit(some)
    assert fitted.weights == pytest.approx([math.log(3) / 2] * 2, abs=1e-8)
    assert fitted.intercepts == pytest.approx([0, 0], abs=1e-8)


def test_an_intercept_in_closed_form():
    # All logits alike, 3 of 4 of class 0: b_0 - b_1 = ln 3, and they sum to 0.
    logits = [[1.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]] * 2
    some = Predictions.from_logits(logits, [0, 0, 0, 0, 0, 0, 1, 1])
    fitted = VectorScaling.fit(some)
    half = math.log(3) / 2
    assert fitted.intercepts == pytest.approx([half, -half], abs=1e-7)


def test_vector_scaling_recovers_what_labels_were_drawn_from():
    some = drawn_from(np.diag([1.5, 0.5, 2.0]), [0.5, 0.0, -0.5])
    fitted = VectorScaling.fit(some)
    assert fitted.weights == pytest.approx([1.5, 0.5, 2.0], abs=0.1)
    assert fitted.intercepts == pytest.approx([0.5, 0.0, -0.5], abs=0.1)


def test_matrix_scaling_recovers_what_labels_were_drawn_from():
    true = np.array([[1.5, 0.5, 0.0], [0.0, 1.0, -0.5], [0.3, 0.0, 2.0]])
    some = drawn_from(true, [0.5, 0.0, -0.5])
    fitted = MatrixScaling.fit(some, off_diagonal_penalty=0.0, intercept_penalty=0.0)
    # Adding a row to all rows changes nothing: compare the centered.
    assert fitted.weights - fitted.weights.mean(axis=0) == pytest.approx(
        true - true.mean(axis=0), abs=0.1
    )


def test_a_large_penalty_leaves_only_the_diagonal():
    some = drawn_from(np.array([[1.5, 0.5], [0.2, 1.0]]), [0.5, -0.5], 500)
    fitted = MatrixScaling.fit(some, off_diagonal_penalty=1e6, intercept_penalty=1e6)
    assert np.abs(fitted.weights[[0, 1], [1, 0]]).max() < 1e-5
    assert np.abs(fitted.intercepts).max() < 1e-5
    assert metrics.nll(fitted.apply(some, in_sample=True)) < metrics.nll(some)


def test_dirichlet_takes_logarithms_of_probabilities():
    some = drawn_from(np.eye(3) * 0.5, [0.5, 0.0, -0.5], 500)
    of_probs = Predictions.from_probs(some.probs, some.labels)
    one, two = Dirichlet.fit(some), Dirichlet.fit(of_probs)
    assert two.weights == pytest.approx(one.weights, abs=1e-6)
    assert two.apply(of_probs, in_sample=True).kind == "probs"


def test_uninformative_logits_fit_to_the_frequencies_of_classes():
    # Labels that go against the logits: the best temperature is infinite, and here
    # the weights become negative.
    some = Predictions.from_logits(
        [[2.0, 0.0]] * 4 + [[0.0, 2.0]] * 4, [1, 1, 1, 0] * 2
    )
    flipped = Predictions.from_logits(some.logits, [1, 1, 1, 0, 0, 0, 0, 1])
    fitted = VectorScaling.fit(flipped)
    assert fitted.weights == pytest.approx([-math.log(3) / 2] * 2, abs=1e-7)
    after = VectorScaling.fit(some).apply(some, in_sample=True)
    assert after.probs[:, 1] == pytest.approx([0.75] * 8, abs=1e-7)


@pytest.mark.parametrize("method", ["vector_scaling", "matrix_scaling", "dirichlet"])
@pytest.mark.parametrize(
    ("logits", "labels", "reason"),
    [
        ([[1.0, 0.0], [0.0, 3.0]], [0, 1], "every label has the largest logit"),
        ([[1.0, 0.0], [0.5, 0.0]], [0, 0], "needs examples of every class, and 1 of 2"),
        # Wrong once, but 1.5 tells the classes apart without error.
        ([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], [1, 0, 0], "told apart without error"),
    ],
)
def test_no_finite_optimum(method, logits, labels, reason):
    free = {"intercept_penalty": 0.0}
    if method != "vector_scaling":
        free["off_diagonal_penalty"] = 0.0
    with pytest.raises(FitError, match=reason):
        posthoc.fit(Predictions.from_logits(logits, labels), method, free)


def test_a_penalty_makes_an_optimum():
    logits, labels = [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], [1, 0, 0]
    some = Predictions.from_logits(logits, labels)
    with pytest.raises(FitError):
        VectorScaling.fit(some)
    fitted = VectorScaling.fit(some, intercept_penalty=0.1)
    assert metrics.nll(fitted.apply(some, in_sample=True)) < metrics.nll(some)


@pytest.mark.parametrize("method", ["vector_scaling", "matrix_scaling", "dirichlet"])
def test_a_probability_of_zero_is_refused_and_named(method):
    some = Predictions.from_probs([[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]], [0, 0, 1])
    with pytest.raises(DataError, match=r"row 1 .* has a probability of 0"):
        posthoc.fit(some, method)


def test_histogram_binning_by_hand():
    # Two bins. p_0 of .9, .7 in the upper: class 0 in one of two; .2, .4 in the lower:
    # none of two. p_1 mirrors it: 1/2 in the lower, 1 in the upper.
    probs = [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]]
    some = Predictions.from_probs(probs, [0, 1, 1, 1])
    fitted = HistogramBinning.fit(some, num_bins=2)
    assert fitted.frequencies.tolist() == [[0.0, 0.5], [0.5, 1.0]]
    after = fitted.apply(some, in_sample=True)
    assert after.probs.tolist() == [[0.5, 0.5], [0.5, 0.5], [0.0, 1.0], [0.0, 1.0]]
    # An edge belongs to the bin below it, as in the metrics: .5 is in the lower.
    edge = Predictions.from_probs([[0.5, 0.5]], [0])
    assert fitted.apply(edge).probs.tolist() == [[0.0, 1.0]]


def test_an_empty_bin_keeps_its_midpoint():
    some = Predictions.from_probs([[0.9, 0.1]], [0])
    fitted = HistogramBinning.fit(some, num_bins=4)
    assert fitted.frequencies.tolist() == [
        [0.125, 0.375, 0.625, 1.0],
        [0.0, 0.375, 0.625, 0.875],
    ]


def test_binning_the_top_label():
    # Confidences .6 and .8 share the upper of two bins, and one of them is right.
    some = Predictions.from_probs([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]], [0, 0])
    fitted = HistogramBinning.fit(some, num_bins=2, top_label=True)
    assert fitted.frequencies.tolist() == [[0.25, 0.5]]
    after = fitted.apply(some, in_sample=True)
    # What is left, .5, goes to the others 3 : 1 and 1 : 1.
    assert after.probs == pytest.approx(
        np.array([[0.5, 0.375, 0.125], [0.25, 0.25, 0.5]]), abs=1e-15
    )
    # Where they had nothing, equally.
    sure = Predictions.from_probs([[1.0, 0.0, 0.0]], [0])
    assert fitted.apply(sure).probs == pytest.approx(
        np.array([[0.5, 0.25, 0.25]]), abs=1e-15
    )


def test_a_row_that_loses_every_class_keeps_its_probabilities():
    none = HistogramBinning(np.zeros((2, 2)), top_label=False)
    some = Predictions.from_probs([[0.75, 0.25]], [0])
    assert none.apply(some).probs == pytest.approx(np.array([[0.75, 0.25]]), abs=1e-15)


def test_isotonic_by_hand():
    # p_1 of .2, .4, .6, .8 with labels 0, 1, 0, 1: the middle two violate and pool.
    probs = [[0.8, 0.2], [0.6, 0.4], [0.4, 0.6], [0.2, 0.8]]
    some = Predictions.from_probs(probs, [0, 1, 0, 1])
    after = Isotonic.fit(some).apply(some, in_sample=True)
    assert after.probs[:, 1] == pytest.approx([0, 0.5, 0.5, 1], abs=1e-12)
    assert after.kind == "probs"


def test_order_preserving_isotonic_by_hand():
    # Pairs in order of p: .1 no, .2 no, .3 yes, .4 no, .4 yes, .6 no, .. the blocks
    # {.3 yes, .4 no, .4 yes, .6 no} pool at 1/2; a tie of .6 and .4 keeps class 0.
    some = Predictions.from_probs(
        [[0.6, 0.4], [0.6, 0.4], [0.7, 0.3], [0.9, 0.1]], [1, 0, 1, 0]
    )
    after = OrderPreservingIsotonic.fit(some).apply(some, in_sample=True)
    assert after.predicted.tolist() == [0, 0, 0, 0]
    # .4: 1 of 2, .6: 1 of 2; .3 yes before them and .7 no after pool with them: 1/2.
    assert after.probs[:3] == pytest.approx(np.full((3, 2), 0.5), abs=1e-9)
    assert after.probs[3] == pytest.approx([1, 0], abs=1e-12)


def test_the_focal_link_by_published_figures():
    # gamma 3, two classes: a posterior of .8 is predicted as .594, detached .586.
    for p, detached in [(0.594, False), (0.586, True)]:
        link = FocalLink(3.0, 1.0, detached)
        found = Predictions.from_logits(link(np.log([[p, 1 - p]])), [0]).confidence
        # The slope is about 2.5 and p is rounded to .0005.
        assert found == pytest.approx([0.8], abs=1.5e-3)


def test_the_focal_link_of_saturated_predictions():
    # 1 - p is about e^-60, far below rounding: detached, gamma 1 doubles the log-odds,
    # and full, phi goes to 2 (1 - p).
    logits = np.array([[60.0, 0.0]])
    detached = FocalLink(1.0, 1.0, detached=True)(logits)
    assert detached[0, 0] - detached[0, 1] == pytest.approx(120, rel=1e-12)
    full = FocalLink(1.0, 1.0)(logits)
    assert full[0, 0] - full[0, 1] == pytest.approx(120 - math.log(2), rel=1e-12)
    sure = FocalLink(3.0, 2.0).apply(Predictions.from_probs([[1.0, 0.0]], [0]))
    assert sure.probs.tolist() == [[1.0, 0.0]]


def test_the_focal_link_without_focus_is_temperature_scaling():
    some = drawn_from(np.eye(3) * 0.5, [0, 0, 0], 300)
    link = FocalLink.fit(some, gamma=0.0)
    assert link.temperature == pytest.approx(posthoc.Temperature.fit(some).value)


def test_the_focal_link_fits_a_focal_model_with_temperature_one():
    # Draw from the posterior that a focal optimum stands for.
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    eta = Predictions.from_logits(FocalLink(2.0, 1.0)(logits), [0] * 20_000)
    labels = (eta.log_probs + rng.gumbel(size=logits.shape)).argmax(axis=1)
    some = Predictions.from_logits(logits, labels)
    fitted = FocalLink.fit(some, gamma=2.0)
    assert fitted.temperature == pytest.approx(1, abs=0.05)
    best = metrics.nll(posthoc.Temperature.fit(some).apply(some, in_sample=True))
    assert metrics.nll(fitted.apply(some, in_sample=True)) < best


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize(
    "calibrator",
    [
        posthoc.Temperature(3.0),
        FocalLink(3.0, 1.0),
        FocalLink(3.0, 2.5, detached=True),
        OrderPreservingIsotonic(((0.0, 1.0),), ((0.0, 1.0),)),
    ],
)
def test_neighboring_numbers_keep_their_order(calibrator, kind):
    # Each pair is two neighbors among floats, the larger last, where rounding to one
    # number would predict the first.
    rng = np.random.default_rng(0)
    some = rng.uniform(0.25, 0.5, size=500)
    rows = np.stack([some, np.nextafter(some, 1), np.zeros(500)], axis=1)
    if kind == "probs":
        rows[:, 2] = 1 - rows[:, 0] - rows[:, 1]
        rows = rows[rows[:, 2] < 0.25]
        near = Predictions.from_probs(rows, [0] * len(rows))
    else:
        near = Predictions.from_logits(rows, [0] * len(rows))
    assert set(near.predicted) == {1}
    assert calibrator.apply(near).predicted.tolist() == near.predicted.tolist()


def test_the_focal_link_needs_its_gamma():
    some = drawn_from(np.eye(2), [0, 0], 20)
    with pytest.raises(ParameterError, match=r"needs a value for gamma \(--set gamma"):
        posthoc.fit(some, "focal_link")
    with pytest.raises(ParameterError, match="gamma must be a finite number"):
        posthoc.fit(some, "focal_link", {"gamma": -1.0})


@pytest.mark.parametrize(
    ("method", "given", "reason"),
    [
        ("temprature", {}, "Did you mean 'temperature'"),
        ("temperature", {"bins": 3}, "temperature has no settings"),
        ("histogram_binning", {"num_bin": 3}, "Did you mean 'num_bins'"),
        ("histogram_binning", {"num_bins": 2.5}, "must be a whole number"),
        ("histogram_binning", {"num_bins": True}, "must be a whole number"),
        ("histogram_binning", {"num_bins": 0}, "at least 1"),
        ("histogram_binning", {"top_label": 1}, "must be true or false"),
        ("vector_scaling", {"intercept_penalty": "1"}, "must be a number"),
        ("vector_scaling", {"intercept_penalty": math.inf}, "finite number"),
        ("matrix_scaling", {"off_diagonal_penalty": -1.0}, "at least 0"),
    ],
)
def test_settings_that_are_refused(method, given, reason):
    some = drawn_from(np.eye(2), [0, 0], 20)
    with pytest.raises(ParameterError, match=reason):
        posthoc.fit(some, method, given)


@pytest.mark.parametrize("method", CALIBRATORS)
class TestLeakage:
    def test_nothing_is_fitted_on_test(self, method):
        some = drawn_from(np.eye(2), [0, 0], 50)
        test = Predictions.from_logits(some.logits, some.labels, split="test")
        with pytest.raises(LeakageError, match=f"{method}: .* Give the calibration"):
            posthoc.fit(test, method, SETTINGS_OF.get(method))

    def test_nothing_is_judged_on_what_it_was_fitted_on(self, method):
        some = drawn_from(np.eye(2), [0, 0], 50)
        fitted = posthoc.fit(some, method, SETTINGS_OF.get(method))
        backwards = Predictions.from_logits(some.logits[::-1], some.labels[::-1])
        for same in (some, backwards):
            with pytest.raises(LeakageError, match="was fitted on these rows"):
                fitted.apply(same)
            assert fitted.apply(same, in_sample=True).num_examples == 50
        other = Predictions.from_logits(some.logits, 1 - some.labels)
        assert fitted.apply(other).num_examples == 50

    def test_a_split_is_remembered_by_name(self, method):
        some = drawn_from(np.eye(2), [0, 0], 50)
        named = Predictions.from_logits(some.logits, some.labels, split="calibration")
        fitted = posthoc.fit(named, method, SETTINGS_OF.get(method))
        part = Predictions.from_logits(
            some.logits[:9], some.labels[:9], split="calibration"
        )
        with pytest.raises(LeakageError, match="fitted on the calibration split"):
            fitted.apply(part)
        test = Predictions.from_logits(some.logits[:9], some.labels[:9], split="test")
        assert fitted.apply(test).split == "test"


@pytest.mark.parametrize(
    "method",
    ["vector_scaling", "matrix_scaling", "dirichlet", "histogram_binning", "isotonic"],
)
def test_another_number_of_classes_is_refused(method):
    fitted = posthoc.fit(drawn_from(np.eye(2), [0, 0], 50), method)
    with pytest.raises(DataError, match=r"fitted for 2 classes, but these .* have 3"):
        fitted(np.zeros((1, 3)))


def test_parameters_are_checked_copied_and_fixed():
    weights = np.ones(2)
    fitted = VectorScaling(weights, np.zeros(2))
    weights[0] = 9
    assert fitted.weights.tolist() == [1, 1]
    assert not fitted.weights.flags.writeable
    with pytest.raises(ParameterError, match=r"intercepts must have shape \(2,\)"):
        VectorScaling(np.ones(2), np.zeros(3))
    with pytest.raises(ParameterError, match="weights must be finite"):
        MatrixScaling(np.full((2, 2), np.nan), np.zeros(2))


def test_calibrators_are_applied_without_scikit_learn():
    code = (
        "import sys; from calibench.posthoc import *; import numpy as np;"
        "OrderPreservingIsotonic(((0.0, 1.0),), ((0.0, 1.0),))(np.eye(2));"
        "assert not any(m.split('.')[0] in ('sklearn', 'scipy') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

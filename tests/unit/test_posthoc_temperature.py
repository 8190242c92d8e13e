import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from calibench import metrics
from calibench.errors import FitError, LeakageError, ParameterError
from calibench.posthoc import FocalLink, Temperature
from calibench.predictions import Predictions
from shape_checks import without_shape_checks


def test_recovers_a_temperature_in_closed_form():
    # Two classes, logit z = 4 for class 0, right in 3 of 4: softmax(z / T) = 3/4, so
    # z / T = ln 3.
    some = Predictions.from_logits([[4.0, 0.0]] * 4, [0, 0, 0, 1])
    assert Temperature.fit(some).value == pytest.approx(4 / math.log(3), rel=1e-12)


def test_scale_and_shift_of_the_logits():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 4)), rng.integers(4, size=200)
    logits[np.arange(200), labels] += 1
    once = Temperature.fit(Predictions.from_logits(logits, labels)).value
    for scale, shift in [(1e-6, 0), (1e6, 0), (1, 1e6), (1e150, 0)]:
        other = Predictions.from_logits(scale * logits + shift, labels)
        # A shift of 1e6 leaves ten digits of the logits.
        assert Temperature.fit(other).value == pytest.approx(scale * once, rel=1e-8)


def test_probabilities_and_their_logits_fit_alike():
    rng = np.random.default_rng(1)
    some = Predictions.from_logits(rng.normal(size=(50, 3)), rng.integers(3, size=50))
    labels = np.where(rng.random(50) < 0.5, some.predicted, some.labels)
    one = Predictions.from_logits(some.logits, labels)
    two = Predictions.from_probs(some.probs, labels)
    assert Temperature.fit(two).value == pytest.approx(
        Temperature.fit(one).value, rel=1e-10
    )


def test_probabilities_of_zero_off_the_label():
    some = Predictions.from_probs(
        [[0.75, 0.25, 0.0]] * 3 + [[0.75, 0.25, 0.0]], [0] * 3 + [1]
    )
    assert Temperature.fit(some).value == pytest.approx(1, rel=1e-12)
    scaled = Temperature(2.0).apply(some)
    assert scaled.kind == "probs"
    # sqrt(.75) : sqrt(.25) = sqrt(3) : 1.
    top = math.sqrt(3) / (math.sqrt(3) + 1)
    assert scaled.probs[0].tolist() == pytest.approx([top, 1 - top, 0], abs=1e-15)


@pytest.mark.parametrize(
    ("logits", "labels", "reason"),
    [
        ([[1.0, 0.0], [0.0, 3.0]], [0, 1], "every label has the largest logit"),
        ([[1.0, 1.0], [0.0, 3.0]], [0, 1], "every label has the largest logit"),
        ([[1.0, 0.0], [0.0, 3.0]], [1, 0], "T = infinity"),
        ([[0.0, 0.0]], [0], "the same at every temperature"),
        # Symmetric: as often right as wrong.
        ([[1.0, 0.0], [1.0, 0.0]], [0, 1], "T = infinity"),
    ],
)
def test_no_finite_optimum(logits, labels, reason):
    with pytest.raises(FitError, match=reason):
        Temperature.fit(Predictions.from_logits(logits, labels))


def test_a_label_of_probability_zero():
    some = Predictions.from_probs([[0.5, 0.5], [1.0, 0.0]], [0, 1])
    with pytest.raises(FitError, match=r"row 1 .* gives its label probability 0"):
        Temperature.fit(some)


def test_a_single_near_miss_still_has_an_optimum():
    # Wrong once, by 1e-9: the optimum is sharp, but it exists.
    rows = [[0.0, 1.0]] * 99 + [[1e-9, 0.0]]
    some = Predictions.from_logits(rows, [1] * 100)
    fitted = Temperature.fit(some)
    assert 0 < fitted.value < 0.1
    assert metrics.nll(fitted.apply(some, in_sample=True)) < metrics.nll(some)


def test_nothing_is_fitted_on_test():
    some = Predictions.from_logits([[4.0, 0.0]] * 4, [0, 0, 0, 1], split="test")
    with pytest.raises(LeakageError, match="calibration split"):
        Temperature.fit(some)


def test_apply_keeps_kind_labels_and_split():
    some = Predictions.from_logits([[4.0, 0.0]], [1], split="test")
    scaled = Temperature(2.0).apply(some)
    assert scaled.logits.tolist() == [[2.0, 0.0]]
    assert (scaled.labels.tolist(), scaled.split, scaled.kind) == (
        [1],
        "test",
        "logits",
    )


def test_calls_return_what_they_are_given():
    halve = Temperature(2.0)
    array = halve(np.array([[1.0, 2.0]], dtype=np.float32))
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    tensor = halve(torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16, requires_grad=True))
    assert tensor.dtype == torch.bfloat16
    assert tensor.requires_grad
    assert tensor.tolist() == array.tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_is_positive_and_finite(value):
    with pytest.raises(ParameterError, match=f"above 0 and finite, got {value}"):
        Temperature(value)
    with pytest.raises(ParameterError, match=f"above 0 and finite, got {value}"):
        FocalLink(gamma=1.0, temperature=value)


@pytest.mark.parametrize("value", [None, "2", [2.0], True, 1j])
def test_a_temperature_is_a_number(value):
    with (
        without_shape_checks(),
        pytest.raises(ParameterError, match="temperature must be above 0 and finite"),
    ):
        Temperature(value)


def test_a_temperature_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Temperature(1.0).value = 2.0

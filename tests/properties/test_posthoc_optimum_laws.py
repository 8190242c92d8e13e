"""Where a fit has an optimum, what it is worth, and where it says there is none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibench import metrics, posthoc
from calibench.errors import FitError
from calibench.posthoc import CALIBRATORS, FocalLink
from calibench.predictions import Predictions
from calibrator_settings import SETTINGS_OF
from strategies import edge_predictions, predictions

LIKELIHOOD = ["temperature", "vector_scaling", "matrix_scaling", "dirichlet"]
SCALED = ["temperature", "temperature_by_ece", "focal_link", "loss_link"]
RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(40, 3))

DEGENERATE = {
    "told apart": (LOGITS, LOGITS.argmax(axis=1)),
    "backwards": (LOGITS, LOGITS.argmin(axis=1)),
    "one class": (LOGITS, np.zeros(40, dtype=int)),
    "one example, right": (LOGITS[:1], LOGITS[:1].argmax(axis=1)),
    "one example, wrong": (LOGITS[:1], LOGITS[:1].argmin(axis=1)),
}


def fitted(some, method, **given_):
    return posthoc.fit(some, method, given_ or SETTINGS_OF.get(method))


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("method", CALIBRATORS)
def test_likelihoods_without_an_optimum_are_refused(method, case):
    some = Predictions.from_logits(*DEGENERATE[case])
    if method in [*LIKELIHOOD, "focal_link", "loss_link"]:
        with pytest.raises(FitError, match=f"^{method} .*(optimum|every class)"):
            fitted(some, method)
        return
    # Frequencies and least squares have their optimum on any data.
    after = fitted(some, method).apply(some, in_sample=True)
    assert metrics.nll(after) < metrics.nll(some)


@pytest.mark.parametrize("method", CALIBRATORS)
def test_logits_that_are_all_equal(method):
    labels = np.array([0, 0, 1, 2])
    some = Predictions.from_logits(np.full((4, 3), 7.0), labels)
    if method in SCALED:
        with pytest.raises(FitError, match="the same at every temperature"):
            fitted(some, method)
        return
    after = fitted(some, method).apply(some, in_sample=True)
    shared = method == "order_preserving_isotonic"
    expected = [1 / 3] * 3 if shared else [0.5, 0.25, 0.25]
    assert after.probs == pytest.approx(np.array([expected] * 4), abs=1e-6)


@pytest.mark.parametrize("exponent", [-308, -300, -200, -160, -100, -9, 100, 300])
def test_affine_maps_of_logits_of_any_scale(exponent):
    labels = (LOGITS + RNG.gumbel(size=LOGITS.shape)).argmax(axis=1)

    def nll(method, scale):
        some = Predictions.from_logits(scale * LOGITS, labels)
        return metrics.nll(fitted(some, method).apply(some, in_sample=True))

    scale = 10.0**exponent
    assert nll("vector_scaling", scale) == pytest.approx(nll("vector_scaling", 1.0))
    # Penalized per unit of weight, tiny logits leave no more than the diagonal, and
    # huge ones the whole matrix.
    limit = nll("matrix_scaling", 1e-6 if exponent < 0 else 1e6)
    assert nll("matrix_scaling", scale) == pytest.approx(limit)
    if exponent > 0:
        assert nll("dirichlet", scale) == pytest.approx(nll("dirichlet", 1e6))
        return
    with pytest.raises(FitError, match=r"they differ by too little|rounding hides"):
        nll("dirichlet", scale)


def test_a_prohibitive_penalty_leaves_a_parameter_at_0():
    labels = (LOGITS + RNG.gumbel(size=LOGITS.shape)).argmax(axis=1)
    some = Predictions.from_logits(LOGITS, labels)
    without = posthoc.fit(
        some,
        "matrix_scaling",
        {"off_diagonal_penalty": 1e300, "intercept_penalty": 1e300},
    )
    assert without.weights[~np.eye(3, dtype=bool)].tolist() == [0.0] * 6
    assert without.intercepts.tolist() == [0.0] * 3
    nearly = posthoc.fit(
        some,
        "matrix_scaling",
        {"off_diagonal_penalty": 1e9, "intercept_penalty": 1e9},
    )
    assert without.weights == pytest.approx(nearly.weights, abs=1e-7)


@pytest.mark.parametrize("method", ["temperature", "focal_link", "loss_link"])
@given(
    some=predictions(),
    seed=st.integers(0, 99),
    exponent=st.integers(-200, 200),
    gamma=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_a_temperature_is_positive_whatever_the_scale(
    method, some, seed, exponent, gamma
):
    # A power of two changes the temperature of logits by that power and no more.
    keep = np.random.default_rng(seed).random(some.num_examples) < 0.3
    labels = np.where(keep, some.labels, some.predicted)
    values = np.ldexp(some.logits, exponent if method == "temperature" else 0)
    try:
        given_ = {"gamma": gamma} if method == "focal_link" else {}
        found = fitted(Predictions.from_logits(values, labels), method, **given_)
    except FitError:
        return
    value = found.value if method == "temperature" else found.temperature
    assert 0 < value < math.inf
    if method == "temperature":
        plain = fitted(Predictions.from_logits(some.logits, labels), method)
        assert value == pytest.approx(math.ldexp(plain.value, exponent), rel=1e-9)


@given(
    some=predictions(),
    gamma=st.sampled_from([0.0, 0.5, 3.0]),
    seed=st.integers(0, 99),
)
def test_the_temperature_of_a_link_never_raises_its_loss(some, gamma, seed):
    keep = np.random.default_rng(seed).random(some.num_examples) < 0.3
    labels = np.where(keep, some.labels, some.predicted)
    given_ = Predictions.from_logits(some.logits, labels)
    try:
        after = fitted(given_, "focal_link", gamma=gamma).apply(given_, in_sample=True)
    except FitError:
        return
    alone = FocalLink(gamma, 1.0).apply(given_)
    assert metrics.nll(after) <= metrics.nll(alone) * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("method", ["isotonic", "order_preserving_isotonic"])
@given(some=predictions(max_classes=2) | edge_predictions(10))
@settings(max_examples=40)
def test_a_rising_function_of_two_classes_never_raises_the_loss(method, some):
    # Least squares and the likelihood have the same rising minimizer, and the identity
    # rises. Of more classes the rows are normalized after the fit: nothing is promised.
    if some.num_classes > 2:
        some = Predictions.from_probs(
            np.stack([1 - some.confidence, some.confidence], axis=1),
            some.correct.astype(np.int64),
        )
    after = fitted(some, method).apply(some, in_sample=True)
    assert metrics.nll(after) <= metrics.nll(some) + 1e-9

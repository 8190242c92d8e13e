"""Laws of the calibrators: what a fit may do, and what it must not."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calibench import metrics, posthoc
from calibench.errors import FitError
from calibench.posthoc import CALIBRATORS, Dirichlet, FocalLink, VectorScaling
from calibench.predictions import Predictions
from calibrator_settings import SETTINGS_OF
from reference.calibrators import affine_objective, focal_weight
from strategies import predictions

PARAMETRIC = ["temperature", "vector_scaling", "matrix_scaling", "dirichlet"]


def drawn(seed, num_examples=120, num_classes=3, scale=2.0):
    """Logits with labels from a known affine map of them; every class has examples."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=(num_examples, num_classes))
    tilted = logits * rng.uniform(0.2, 1.5, num_classes) + rng.normal(size=num_classes)
    labels = (tilted + rng.gumbel(size=logits.shape)).argmax(axis=1)
    labels[:num_classes] = np.arange(num_classes)
    return Predictions.from_logits(logits, labels)


def fitted(some, method):
    return posthoc.fit(some, method, SETTINGS_OF.get(method))


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("method", PARAMETRIC)
@given(seed=seeds)
def test_a_fit_never_raises_the_loss_on_its_own_data(method, seed):
    some = drawn(seed)
    try:
        after = fitted(some, method).apply(some, in_sample=True)
    except FitError:
        assume(False)  # noqa: FBT003 - Hypothesis reads so
    assert metrics.nll(after) <= metrics.nll(some) + 1e-14


@pytest.mark.parametrize("method", ["vector_scaling", "matrix_scaling", "dirichlet"])
@settings(max_examples=10)
@given(seed=seeds)
def test_a_larger_family_fits_at_least_as_well_as_temperature(method, seed):
    some = drawn(seed)
    try:
        larger = fitted(some, method).apply(some, in_sample=True)
        scaled = fitted(some, "temperature").apply(some, in_sample=True)
    except FitError:
        assume(False)  # noqa: FBT003 - Hypothesis reads so
    assert metrics.nll(larger) <= metrics.nll(scaled) + 1e-14


@pytest.mark.parametrize("method", ["vector_scaling", "matrix_scaling", "dirichlet"])
@settings(max_examples=5)
@given(seed=seeds)
def test_no_parameter_can_be_moved_to_a_lower_objective(method, seed):
    some = drawn(seed)
    is_vector = method == "vector_scaling"
    penalties = (0.0, 0.05) if is_vector else (0.01, 0.05)
    best = posthoc.fit(
        some,
        method,
        {"intercept_penalty": 0.05}
        | ({} if is_vector else {"off_diagonal_penalty": 0.01}),
    )
    inputs = some.log_probs if method == "dirichlet" else some.logits
    weights = np.diag(best.weights) if is_vector else best.weights

    def objective(w, b):
        return affine_objective(inputs, some.labels, w, b, penalties)

    lowest = objective(weights, best.intercepts)
    rng = np.random.default_rng(seed)
    for size in (1e-3, 0.1, 1.0):
        step = size * rng.normal(size=weights.shape)
        moved = weights + (np.diag(np.diag(step)) if is_vector else step)
        shift = best.intercepts + size * rng.normal(size=len(weights))
        assert objective(moved, shift) >= lowest
    # The slope along each parameter, by central differences.
    for place in np.argwhere(np.eye(3) if is_vector else np.ones((3, 3))):
        nudge = np.zeros((3, 3))
        nudge[tuple(place)] = 1e-5
        rise = objective(weights + nudge, best.intercepts)
        fall = objective(weights - nudge, best.intercepts)
        assert abs(rise - fall) / 2e-5 < 1e-7
    for nudge in 1e-5 * np.eye(3):
        rise = objective(weights, best.intercepts + nudge)
        fall = objective(weights, best.intercepts - nudge)
        assert abs(rise - fall) / 2e-5 < 1e-7


@pytest.mark.parametrize("method", CALIBRATORS)
@settings(max_examples=5)
@given(seed=seeds)
def test_relabelling_classes_relabels_the_outcome(method, seed):
    some = drawn(seed)
    order = np.random.default_rng(seed).permutation(3)
    renamed = Predictions.from_logits(
        some.logits[:, order], order.argsort()[some.labels]
    )
    one = fitted(some, method).apply(some, in_sample=True)
    two = fitted(renamed, method).apply(renamed, in_sample=True)
    assert two.probs == pytest.approx(one.probs[:, order], abs=1e-6)


@pytest.mark.parametrize("method", CALIBRATORS)
@settings(max_examples=5)
@given(seed=seeds)
def test_the_order_of_examples_does_not_matter(method, seed):
    some = drawn(seed)
    order = np.random.default_rng(seed).permutation(some.num_examples)
    shuffled = Predictions.from_logits(some.logits[order], some.labels[order])
    one, two = fitted(some, method), fitted(shuffled, method)
    assert one.fitted_on == two.fitted_on
    assert two(some.logits) == pytest.approx(one(some.logits), abs=1e-6)


@pytest.mark.parametrize("method", ["vector_scaling", "temperature"])
@settings(max_examples=5)
@given(seed=seeds)
def test_fitting_the_outcome_again_changes_nothing(method, seed):
    some = drawn(seed)
    once = fitted(some, method).apply(some, in_sample=True)
    twice = fitted(once, method).apply(once, in_sample=True)
    assert twice.probs == pytest.approx(once.probs, abs=1e-6)


@pytest.mark.parametrize("method", ["isotonic", "histogram_binning"])
def test_one_class_against_the_rest_is_calibrated_on_its_own_data(method):
    # Of two classes rows need no normalizing: each value's examples
    # have its frequency.
    rng = np.random.default_rng(0)
    p = (rng.integers(10, size=300) + 0.5) / 10
    labels = (rng.uniform(size=300) < p**2).astype(int)
    some = Predictions.from_probs(np.stack([1 - p, p], axis=1), labels)
    given_ = {"num_bins": 10} if method == "histogram_binning" else {}
    after = posthoc.fit(some, method, given_).apply(some, in_sample=True)
    for value in np.unique(after.probs[:, 1]):
        here = after.probs[:, 1] == value
        assert value == pytest.approx(labels[here].mean(), abs=1e-9)


@pytest.mark.parametrize(
    "method", [name for name, each in CALIBRATORS.items() if each.keeps_predicted]
)
@given(some=predictions(), seed=seeds, gamma=st.sampled_from([0.0, 0.5, 3.0]))
def test_the_predicted_class_stays_where_promised(method, some, seed, gamma):
    keep = np.random.default_rng(seed).random(some.num_examples) < 0.3
    labels = np.where(keep, some.labels, some.predicted)
    chosen = {"gamma": gamma} if method == "focal_link" else SETTINGS_OF.get(method)
    both = [
        Predictions.from_logits(some.logits, labels),
        Predictions.from_probs(some.probs, labels),
    ]
    for each in both:
        try:
            after = posthoc.fit(each, method, chosen).apply(each, in_sample=True)
        except FitError:
            continue
        assert after.predicted.tolist() == each.predicted.tolist()


@given(
    seed=seeds,
    gamma=st.sampled_from([0.0, 0.3, 1.0, 3.0, 10.0]),
    detached=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 4.0]),
)
def test_the_focal_link_inverts_the_minimizer(seed, gamma, detached, scale):
    # For a posterior eta the focal optimum p has eta_k proportional to p_k / phi(p_k).
    logits = scale * np.random.default_rng(seed).normal(size=(5, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    eta = p / focal_weight(p, gamma, detached)
    eta /= eta.sum(axis=1, keepdims=True)
    link = FocalLink(gamma, 1.0, detached)
    found = Predictions.from_logits(link(logits), [0] * 5).probs
    assert found == pytest.approx(eta, rel=1e-7, abs=1e-12)


@given(seed=seeds, scale=st.sampled_from([1e-3, 1.0, 1e3]))
@settings(max_examples=10)
def test_vector_scaling_does_not_mind_the_scale_of_logits(seed, scale):
    some = drawn(seed)
    scaled = Predictions.from_logits(scale * some.logits, some.labels)
    one, two = VectorScaling.fit(some), VectorScaling.fit(scaled)
    assert scale * two.weights == pytest.approx(one.weights, rel=1e-6, abs=1e-6)
    assert two.intercepts == pytest.approx(one.intercepts, abs=1e-6)


@given(seed=seeds)
@settings(max_examples=10)
def test_dirichlet_does_not_mind_a_constant_added_to_logits(seed):
    some = drawn(seed)
    shift = np.random.default_rng(seed).normal(size=(some.num_examples, 1))
    shifted = Predictions.from_logits(some.logits + shift, some.labels)
    one, two = Dirichlet.fit(some), Dirichlet.fit(shifted)
    assert two.weights == pytest.approx(one.weights, abs=1e-6)

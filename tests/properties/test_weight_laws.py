"""A whole-number weight repeats its row: no metric may tell the two apart."""

import inspect
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibench import metrics, posthoc
from calibench.errors import DataError, FitError
from calibench.metrics.stream import MetricState
from calibench.predictions import Predictions
from calibrator_settings import SETTINGS_OF
from strategies import edge_predictions, predictions

NUM_BINS = 10
ANY = predictions() | edge_predictions(NUM_BINS)
# Sums of kernels are rounded row by row; all other numbers are sums of whole numbers.
ROUNDED = {"smooth_ece"}
# They count the examples of a bin, which weights that are not whole numbers do not.
COUNTING = {"debiased_l1", "debiased_l2"}
# They compare all pairs of examples.
UNWEIGHTED = {"canonical_calibration_error", "squared_kernel_calibration_error"}


@st.composite
def repeated(draw, of=ANY, most=4):
    """Predictions with weights, and the same with rows repeated in another order."""
    some = draw(of)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = rng.integers(0, most, size=some.num_examples)
    weights[rng.integers(some.num_examples)] += 1
    rows = rng.permutation(np.repeat(np.arange(some.num_examples), weights))
    return weighted(some, weights), some.rows(rows)


def weighted(some, weights):
    rebuild = getattr(Predictions, f"from_{some.kind}")
    return rebuild(some.values, some.labels, weights=weights)


# What some metrics must be told besides the predictions.
NEEDED = {"k": 2}


def single_metrics():
    """Every exported function from predictions to one number."""
    found = {}
    for name in metrics.__all__:
        each = getattr(metrics, name)
        if not inspect.isfunction(each):
            continue
        signature = inspect.signature(each)
        first, *others = signature.parameters.values()
        is_metric = first.annotation is Predictions and (
            signature.return_annotation in (float, int)
        )
        asked = [other.name for other in others if other.default is other.empty]
        if is_metric and set(asked) <= set(NEEDED):
            found[name] = partial(each, **{key: NEEDED[key] for key in asked})
    return found


SINGLE = single_metrics()
AGAINST_TRUTH = [
    name
    for name in metrics.__all__
    if inspect.isfunction(getattr(metrics, name))
    and {"truth", "posterior"}
    & set(inspect.signature(getattr(metrics, name)).parameters)
]


def outcome(metric, some):
    try:
        return metric(some)
    except FitError:
        return math.nan


@pytest.mark.parametrize("name", SINGLE)
@given(pair=repeated())
@settings(max_examples=15)
def test_a_weight_repeats_a_row_or_is_refused(name, pair):
    some, expected = pair
    if name in UNWEIGHTED and some.weights is not None:
        with pytest.raises(DataError, match=f"{name} takes no weights"):
            SINGLE[name](some)
        return
    found = outcome(SINGLE[name], some)
    assert found == pytest.approx(
        outcome(SINGLE[name], expected), rel=1e-9, abs=1e-12, nan_ok=True
    )


@pytest.mark.parametrize("name", AGAINST_TRUTH)
@pytest.mark.parametrize("from_counts", [False, True])
@given(some=predictions(), seed=st.integers(0, 99))
@settings(max_examples=5)
def test_against_the_truth_a_weight_repeats_a_row(name, from_counts, some, seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 4, some.num_examples)
    weights[0] += 2
    rows = np.repeat(np.arange(some.num_examples), weights)
    judged = rng.integers(1, 9, some.values.shape)

    def truth(kept):
        if from_counts:
            return metrics.Truth.from_counts(judged[kept])
        return metrics.Truth.from_posterior(
            judged[kept] / judged[kept].sum(axis=1, keepdims=True)
        )

    metric = getattr(metrics, name)
    found = metric(weighted(some, weights), truth(slice(None)))
    assert found == pytest.approx(metric(some.rows(rows), truth(rows)), rel=1e-12)


# What returns more than one number, and is held to the law below or in another file.
ELSEWHERE = {
    "classwise_measurements",
    "compare",
    "decompose",
    "decompositions",
    "evaluate",
    "evaluate_truth",
    "noise_floor",
    "scalars",
    "top_label_bins",
}


def test_no_function_of_predictions_goes_without_the_law():
    takers = {
        name: each
        for name in metrics.__all__
        if inspect.isfunction(each := getattr(metrics, name))
        and Predictions in inspect.get_annotations(each).values()
    }
    assert len(SINGLE) >= 25
    assert len(AGAINST_TRUTH) >= 9
    some = Predictions.from_probs([[0.75, 0.25]] * 2, [0, 1], weights=[2, 3])
    for name in takers.keys() - {*SINGLE, *AGAINST_TRUTH, *ELSEWHERE}:
        with pytest.raises(DataError, match="takes no weights"):
            takers[name](some)


@given(repeated(), st.integers(1, 12))
def test_the_panel_has_the_bits_of_the_repeated_rows(pair, num_bins):
    some, expected = (metrics.scalars(each, num_bins=num_bins) for each in pair)
    for name, value in expected.items():
        if name in ROUNDED:
            assert some[name] == pytest.approx(value, rel=1e-9, abs=1e-12)
        else:
            assert some[name] == value, name


@pytest.mark.parametrize("scheme", ["equal_width", "equal_mass"])
@given(pair=repeated(), num_bins=st.integers(1, 12))
def test_bins_have_the_bits_of_the_repeated_rows(scheme, pair, num_bins):
    one, other = (
        metrics.top_label_bins(each, num_bins=num_bins, scheme=scheme) for each in pair
    )
    for name in ("count", "confidence", "accuracy", "squared_gap", "lo", "hi"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()


@given(repeated())
def test_a_state_has_the_bits_of_the_repeated_rows(pair):
    one, other = (MetricState.of(each).to_arrays() for each in pair)
    for name, sums in other.items():
        assert one[name].tobytes() == sums.tobytes(), name


@given(repeated(predictions(max_examples=60)))
@settings(max_examples=10)
def test_intervals_and_definitions_are_those_of_the_repeated_rows(pair):
    one, other = (metrics.evaluate(each, replicates=2) for each in pair)
    assert one.total_weight == pair[1].num_examples == other.n
    for name, expected in other.measurements.items():
        found = one.measurements[name]
        assert found.definition == expected.definition
        if expected.interval is None:
            assert found.interval is None
        else:
            assert found.interval == pytest.approx(
                expected.interval, rel=1e-9, abs=1e-12
            )


@given(repeated(predictions(max_examples=60)))
@settings(max_examples=10)
def test_a_decomposition_is_that_of_the_repeated_rows(pair):
    one, other = (outcome(metrics.decompose, each) for each in pair)
    assert repr(one) == repr(other)


@given(repeated(predictions(max_examples=60)), st.integers(0, 99))
@settings(max_examples=10)
def test_comparisons_are_those_of_the_repeated_rows(pair, seed):
    def against(some):
        return replace(some, values=some.values[:, ::-1].copy() * 0.5)

    one, other = (
        metrics.compare(each, against(each), replicates=99, seed=seed) for each in pair
    )
    for name, expected in other.differences.items():
        found = one.differences[name]
        if expected.value is None:
            assert found.to_dict() == expected.to_dict()
            continue
        assert found.value == pytest.approx(expected.value, rel=1e-9, abs=1e-12)
        assert found.p_value == pytest.approx(expected.p_value, abs=1e-9)
        assert (found.interval is None) == (expected.interval is None)
        if expected.interval is not None:
            assert found.interval == pytest.approx(expected.interval, abs=1e-9)


@pytest.mark.parametrize("method", posthoc.CALIBRATORS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_a_calibrator_of_weights_is_that_of_the_repeated_rows(method, seed):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((90, 3))
    labels = (logits + 2 * rng.gumbel(size=logits.shape)).argmax(axis=1)
    counts = rng.integers(0, 4, size=90)
    some = Predictions.from_logits(logits, labels, weights=counts)
    rows = np.repeat(np.arange(90), counts)
    needed = SETTINGS_OF.get(method)
    one = posthoc.fit(some, method, needed)
    other = posthoc.fit(
        Predictions.from_logits(logits, labels).rows(rows), method, needed
    )
    expected = np.exp(other(logits))
    assert np.exp(one(logits)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(repeated(), st.sampled_from([0.1, 2.0**-20, 3.7]))
def test_values_do_not_mind_the_scale_of_fractions(pair, scale):
    some, expected = pair
    weights = np.ones(some.num_examples) if some.weights is None else some.weights
    scaled = weighted(some, scale * weights)
    found, expected = metrics.scalars(scaled), metrics.scalars(expected)
    assert {name for name, value in found.items() if math.isnan(value)} == COUNTING
    for name in found.keys() - COUNTING:
        value = found[name]
        assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


@given(ANY, st.randoms(use_true_random=False))
def test_the_order_of_fractions_changes_no_bit(some, random):
    rng = np.random.default_rng(random.randrange(2**32))
    weights = rng.choice([0.0, 0.25, 0.1, 1 / 3, 1.5], size=some.num_examples)
    weights[0] += 0.3
    order = rng.permutation(some.num_examples)
    one = metrics.scalars(weighted(some, weights))
    other = metrics.scalars(weighted(some.rows(order), weights[order]))
    for name in one:
        assert one[name] == other[name] or name in COUNTING, name


@pytest.mark.parametrize("name", ["top_label_ece", "overconfidence", "classwise_ece"])
def test_ones_are_no_weights(name):
    some = Predictions.from_probs([[0.75, 0.25], [0.5, 0.5]], [0, 1], weights=[1, 1.0])
    assert some.weights is None
    assert some.total_weight == 2
    assert SINGLE[name](some) == SINGLE[name](some.rows([0, 1]))

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calibench import metrics
from calibench.errors import FitError
from calibench.posthoc import Temperature
from calibench.predictions import Predictions
from strategies import predictions


def fitted_or_skipped(some):
    try:
        return Temperature.fit(some)
    except FitError:
        assume(False)  # noqa: FBT003 - Hypothesis reads so


def mostly_right(some, seed):
    """The same logits with labels that have an optimum more often than not."""
    keep = np.random.default_rng(seed).random(some.num_examples) < 0.3
    labels = np.where(keep, some.labels, some.predicted)
    return Predictions.from_logits(some.logits, labels)


@given(predictions(), st.floats(-5, 5).map(np.exp))
def test_no_temperature_changes_a_prediction(some, value):
    scaled = Temperature(value).apply(some)
    assert metrics.accuracy(scaled) == metrics.accuracy(some)
    assert scaled.predicted.tolist() == some.predicted.tolist()


@given(predictions(), st.integers(0, 99))
def test_at_the_optimum_nll_equals_entropy(some, seed):
    some = mostly_right(some, seed)
    best = fitted_or_skipped(some).apply(some, in_sample=True)
    surprisal = np.where(best.probs > 0, -best.log_probs, 0)
    entropy = (best.probs * surprisal).sum(axis=1).mean()
    assert metrics.nll(best) == pytest.approx(entropy, abs=1e-9)


@given(predictions(), st.integers(0, 99), st.floats(-3, 3).map(np.exp))
def test_no_other_temperature_has_a_lower_nll(some, seed, factor):
    some = mostly_right(some, seed)
    best = fitted_or_skipped(some)
    lowest = metrics.nll(best.apply(some, in_sample=True))
    assert lowest <= metrics.nll(some) + 1e-12
    assert lowest <= metrics.nll(Temperature(best.value * factor).apply(some)) + 1e-12


@given(predictions(), st.integers(0, 99))
def test_there_is_an_error_exactly_where_there_is_no_optimum(some, seed):
    some = mostly_right(some, seed)
    depth = some.logits.max(axis=1) - some.logits[range(len(some.labels)), some.labels]
    mean_depth = (some.logits.max(axis=1) - some.logits.mean(axis=1)).mean()
    assume(abs(mean_depth - depth.mean()) > 1e-9)
    if depth.any() and depth.mean() < mean_depth:
        Temperature.fit(some)
    else:
        with pytest.raises(FitError):
            Temperature.fit(some)

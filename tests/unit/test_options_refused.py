"""Options that nobody means: each is refused by name, and never gives a number."""

import functools

import numpy as np
import pytest

from calibench import metrics
from calibench.errors import ParameterError
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_evaluation import evaluate_state
from calibench.predictions import Predictions
from measures import MEASURES
from shape_checks import without_shape_checks

SOME = Predictions.from_probs([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], [0, 1, 1])
STATE = MetricState.of(SOME)
MANY = Predictions.from_logits([[4.0, 0.0]] * 40, [0, 0, 0, 1] * 10)
# What is no count at all, though Python would compare, add or index with some of it.
NO_COUNTS = [1.5, 15.0, True, None, "15", [15], np.array(15), float("nan"), 1 + 0j]
CALLS = {
    "evaluate": functools.partial(metrics.evaluate, SOME),
    "evaluate_state": functools.partial(evaluate_state, STATE),
    "noise_floor": functools.partial(metrics.noise_floor, SOME),
    "compare": functools.partial(metrics.compare, SOME, SOME),
    "scalars": functools.partial(metrics.scalars, SOME),
    "state": STATE.result,
    "decompose": functools.partial(metrics.decompose, MANY),
}
PASS = functools.partial(MetricState.of_arrays, SOME.values, SOME.labels, kind="probs")


@pytest.fixture(autouse=True)
def as_without_a_type_checker():
    with without_shape_checks():
        yield


@pytest.mark.parametrize("value", [*NO_COUNTS, 0, -1, 10**9, 10**30])
@pytest.mark.parametrize("name", [name for name in CALLS if name != "decompose"])
def test_numbers_of_bins(name, value):
    with pytest.raises(ParameterError, match="num_bins"):
        CALLS[name](num_bins=value)


@pytest.mark.parametrize(
    "name", [n for n, m in MEASURES.items() if isinstance(m, functools.partial)]
)
def test_numbers_of_bins_of_every_binned_metric(name):
    for value in [*NO_COUNTS, 0, -1, 10**9]:
        with pytest.raises(ParameterError, match="num_bins"):
            MEASURES[name](SOME, num_bins=value)


@pytest.mark.parametrize("option", ["replicates", "seed"])
@pytest.mark.parametrize("value", [*NO_COUNTS, -1])
@pytest.mark.parametrize(
    "name", ["evaluate", "evaluate_state", "noise_floor", "compare"]
)
def test_replicates_and_seeds(name, option, value):
    with pytest.raises(ParameterError, match=option):
        CALLS[name](**{option: value})


@pytest.mark.parametrize("value", [*NO_COUNTS, -1])
@pytest.mark.parametrize(
    ("option", "call"),
    [
        ("num_folds", CALLS["decompose"]),
        ("seed", CALLS["decompose"]),
        ("workers", PASS),
        ("num_classes", MetricState.empty),
    ],
)
def test_what_else_is_counted(option, call, value):
    with pytest.raises(ParameterError, match=option):
        call(**{option: value})


@pytest.mark.parametrize("value", [0, 10**12])
@pytest.mark.parametrize(
    "name", ["evaluate", "evaluate_state", "noise_floor", "compare"]
)
def test_too_few_and_too_many_replicates(name, value):
    with pytest.raises(
        ParameterError, match=r"replicates must be at (least 1|most 1,0)"
    ):
        CALLS[name](replicates=value)


@pytest.mark.parametrize(
    "value", [0, 1, -1, 2, 95, float("nan"), None, "0.95", 1 - 2.0**-53]
)
@pytest.mark.parametrize("name", ["evaluate", "evaluate_state", "compare", "decompose"])
def test_levels(name, value):
    with pytest.raises(ParameterError, match="level must be between 0 and 1, got"):
        CALLS[name](level=value)


@pytest.mark.parametrize("value", ["", "equal-width", "Equal_Width", None, 3])
def test_schemes(value):
    with pytest.raises(ParameterError, match=r"unknown scheme .*(Did you|Choose from)"):
        metrics.top_label_ece(SOME, scheme=value)


@pytest.mark.parametrize("value", [*NO_COUNTS, 0, -1, 3])
@pytest.mark.parametrize("metric", [metrics.top_k_ece, metrics.kth_class_ece])
def test_ranks(metric, value):
    with pytest.raises(ParameterError, match="k must be"):
        metric(SOME, k=value)


@pytest.mark.parametrize("value", [0, 1, -0.5, float("nan"), None, "0.5", [0.5]])
def test_shares(value):
    with pytest.raises(ParameterError, match="share must be between 0 and 1"):
        metrics.log_odds_quantile(SOME, value)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), None, "0.5"])
def test_thresholds(value):
    with pytest.raises(ParameterError, match=r"threshold must be in \[0, 1\]"):
        metrics.thresholded_classwise_ece(SOME, threshold=value)


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_whole_numbers_of_numpy_are_taken(kind):
    assert metrics.top_label_ece(SOME, num_bins=kind(15)) == metrics.top_label_ece(SOME)
    floor = metrics.noise_floor(SOME, replicates=kind(9), seed=kind(1))
    assert floor == metrics.noise_floor(SOME, replicates=9, seed=1)
    found = metrics.evaluate(SOME, replicates=kind(9), level=np.float32(0.5))
    assert found.level == 0.5

"""A state is a function of the multiset of examples, and says what memory says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench.metrics import scalars
from calibench.metrics.float_sums import exponent_sums, total_of
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_results import equal_mass_error, smooth_error
from calibench.predictions import Predictions
from strategies import edge_predictions, predictions

SAME_BITS = [
    "nll",
    "top_label_ece",
    "max_calibration_error",
    "classwise_ece",
    "overconfidence",
    "underconfidence",
    "debiased_l2",
]


def taken(some, rows):
    make = Predictions.from_logits if some.kind == "logits" else Predictions.from_probs
    return make(some.values[rows], some.labels[rows])


def bits(state):
    return {name: array.tobytes() for name, array in state.to_arrays().items()}


def in_batches(some, size):
    state = MetricState.empty(some.num_classes)
    for start in range(0, some.num_examples, size):
        state = state.update(taken(some, slice(start, start + size)))
    return state


@given(predictions(), st.data())
def test_two_shards_merged_are_the_whole(some, data):
    cut = data.draw(st.integers(0, some.num_examples))
    empty = MetricState.empty(some.num_classes)
    shards = [
        empty.update(taken(some, rows)) if some.values[rows].size else empty
        for rows in (slice(cut), slice(cut, None))
    ]
    whole = bits(MetricState.of(some))
    assert bits(shards[0].merge(shards[1])) == whole
    assert bits(shards[1].merge(shards[0])) == whole


@given(predictions(), st.sampled_from([1, 2, 3, 7]), st.integers(0, 2**32 - 1))
def test_neither_order_nor_batches_move_a_bit(some, size, seed):
    order = np.random.default_rng(seed).permutation(some.num_examples)
    assert bits(in_batches(taken(some, order), size)) == bits(MetricState.of(some))


@given(
    st.one_of(predictions(), edge_predictions(15), edge_predictions(10)),
    st.sampled_from([1, 10, 12, 15, 20, 25, 30, 50, 100]),
)
def test_results_are_those_of_memory(some, num_bins):
    expected = scalars(some, num_bins=num_bins)
    state = in_batches(some, 5)
    found = state.result(num_bins)
    assert found.keys() == expected.keys()
    assert {name: found[name] for name in SAME_BITS} == {
        name: expected[name] for name in SAME_BITS
    }
    for name in ("error_rate", "brier", "mean_confidence", "confidence_gap"):
        assert found[name] == pytest.approx(expected[name], rel=1e-14, abs=1e-15)
    # Bounds hold up to the rounding of the sums, and to the smooth error's quadrature.
    name = "top_label_ece_equal_mass"
    bound = equal_mass_error(state, num_bins)[1]
    assert abs(found[name] - expected[name]) <= bound + 1e-13
    bound = smooth_error(state)[1]
    assert abs(found["smooth_ece"] - expected["smooth_ece"]) <= bound + 2e-9


@given(predictions(), st.integers(1, 5))
def test_bins_have_the_bits_of_memory_when_data_repeat(some, times):
    repeated = taken(some, np.tile(np.arange(some.num_examples), times))
    state = MetricState.empty(some.num_classes)
    for _ in range(times):
        state = state.update(some)
    assert bits(state) == bits(MetricState.of(repeated))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64)))
def test_sums_of_any_floats_are_rounded_once(values):
    total = total_of(exponent_sums(np.array(values, dtype=np.float64)))
    try:
        expected = math.fsum(values)
    except OverflowError:
        # fsum gives up on a partial sum; ours is infinite where the total is.
        return
    assert total == expected

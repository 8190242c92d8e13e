"""What further passes collect is a function of the multiset of examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench.errors import DataError, FitError
from calibench.metrics import kth_class_ece, optimal_temperature, top_k_ece
from calibench.metrics.further import Further, FurtherPass
from calibench.metrics.stream import MetricState
from calibench.metrics.temperature_sums import TemperatureSums
from calibench.metrics.top_k import panel_k
from calibench.predictions import Predictions
from strategies import predictions

BOTH = FurtherPass(0.75, has_ranks=True)


def of_rows(some, rows):
    make = Predictions.from_logits if some.kind == "logits" else Predictions.from_probs
    return make(some.values[rows], some.labels[rows])


def plain(sums):
    cells = {name: each.rows.tobytes() for name, each in sums.ranks.cells.items()}
    temperature = sums.temperature
    return temperature.units, temperature.largest, temperature.count, cells


@given(predictions(), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_neither_order_nor_shards_move_a_bit(some, size, seed):
    order = np.random.default_rng(seed).permutation(some.num_examples)
    shards = [order[i : i + size] for i in range(0, len(order), size)]
    merged = BOTH.sums_of(of_rows(some, shards[0]))
    for rows in shards[1:]:
        merged = BOTH.sums_of(of_rows(some, rows)).merge(merged)
    assert plain(merged) == plain(BOTH.sums_of(some))


@given(predictions(), st.data())
def test_weights_are_repetitions(some, data):
    times = data.draw(
        st.lists(
            st.integers(0, 3), min_size=some.num_examples, max_size=some.num_examples
        ).filter(any)
    )
    make = Predictions.from_logits if some.kind == "logits" else Predictions.from_probs
    weighted = make(some.values, some.labels, weights=np.array(times))
    repeated = of_rows(some, np.repeat(np.arange(some.num_examples), times))
    assert plain(BOTH.sums_of(weighted)) == plain(BOTH.sums_of(repeated))


@given(predictions())
def test_ranks_have_the_bits_of_memory(some):
    ranks = BOTH.sums_of(some).ranks
    for name, exact in (
        ("top_k_ece", top_k_ece(some, k=panel_k(some.num_classes))),
        ("kth_class_ece", kth_class_ece(some, k=2)),
    ):
        stats = ranks.bins(name, 15)
        assert float((stats.weight * np.abs(stats.gap)).sum()) == exact


@given(predictions())
def test_the_temperature_is_that_of_memory_or_there_is_none(some):
    further = Further.start(MetricState.of(some))
    while further.next_pass is not None:
        further = further.after(further.next_pass.sums_of(some))
    found = further.search.found
    try:
        expected = optimal_temperature(some)
    except FitError:
        assert found.value is None
        assert found.reason
        return
    if found.value is not None:
        assert found.value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 5.0, 1e3, 1e6])
@pytest.mark.parametrize("num_classes", [2, 10, 40])
def test_the_temperature_is_found_whatever_the_scale(scale, num_classes):
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((4000, num_classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    some = Predictions.from_logits(scale * logits, labels)
    further = Further.start(MetricState.of(some))
    while further.next_pass is not None:
        further = further.after(further.next_pass.sums_of(some))
    search = further.search
    assert search.found.value == pytest.approx(optimal_temperature(some), rel=1e-10)
    assert search.passes <= (6 if 0.1 < scale < 100 else 14)


def test_sums_at_two_temperatures_do_not_merge():
    some = Predictions.from_logits([[1.0, 0.0]], [0])
    with pytest.raises(DataError, match="two temperatures"):
        TemperatureSums.of(some, 1.0).merge(TemperatureSums.of(some, 2.0))


def test_logits_too_large_to_square_have_no_temperature():
    some = Predictions.from_logits([[1e200, 0.0], [0.0, 1.0], [2.0, 0.0]], [1, 1, 0])
    further = Further.start(MetricState.of(some))
    sums = TemperatureSums.of(some, 1.0)
    assert "too large" in further.search.after(sums).found.reason

"""The sweep over numbers of bins: its definition, its laws, and its stream."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench import metrics
from calibench.metrics.redraw import Drawing
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_pieces import Pieces
from calibench.metrics.stream_results import equal_mass_error
from calibench.metrics.stream_sweep import state_sweep
from calibench.metrics.sweep import redrawn_sweep
from calibench.predictions import Predictions
from reference import exact_metrics as exact
from strategies import edge_predictions, predictions


@st.composite
def rising(draw, max_examples=30):
    """Binary problems with ties, and mostly more right where confidence is higher."""
    num_examples = draw(st.integers(1, max_examples))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 1000]))
    p = 0.5 + rng.integers(1, levels + 1, size=num_examples) / (2 * levels)
    right = rng.random(num_examples) < p ** draw(st.sampled_from([0.0, 1.0, 6.0]))
    return Predictions.from_probs(np.stack([p, 1 - p], axis=1), np.where(right, 0, 1))


ANY = rising() | predictions(max_examples=15) | edge_predictions(10)


@given(ANY)
def test_the_sweep_is_its_definition(some):
    num_bins, error = exact.sweep(some.probs, some.labels)
    assert metrics.sweep_num_bins(some) == num_bins
    assert metrics.ece_sweep(some) == pytest.approx(float(error), abs=1e-12)


@given(ANY)
def test_the_error_is_that_of_so_many_bins(some):
    num_bins = metrics.sweep_num_bins(some)
    assert metrics.ece_sweep(some) == metrics.top_label_ece(
        some, num_bins=num_bins, scheme="equal_mass"
    )


@given(ANY, st.integers(2, 3), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(some, times, random):
    rows = list(range(some.num_examples)) * times
    random.shuffle(rows)
    again = Predictions.from_probs(some.probs[rows], some.labels[rows])
    once = Predictions.from_probs(some.probs, some.labels)
    assert metrics.ece_sweep(again) == pytest.approx(metrics.ece_sweep(once), abs=1e-13)
    if metrics.sweep_num_bins(once) < once.num_examples:
        assert metrics.sweep_num_bins(again) == metrics.sweep_num_bins(once)


@given(ANY)
def test_a_stream_sweeps_its_cells(some):
    state = MetricState.of(some)
    pieces = Pieces.of(state)
    found = state_sweep(pieces, pieces.redrawn_right(1, seed=0), level=0.95)
    assert found.value == equal_mass_error(state, found.num_bins)[0]
    there = metrics.top_label_ece(some, num_bins=found.num_bins, scheme="equal_mass")
    assert abs(found.value - there) <= found.bound + 1e-13
    if len(pieces.count) == len(np.unique(some.confidence)):
        assert found.num_bins == metrics.sweep_num_bins(some)
        assert found.value == pytest.approx(metrics.ece_sweep(some), abs=1e-13)


@given(rising(), st.integers(0, 2**32 - 1))
def test_every_replicate_is_swept_anew(some, seed):
    ascending = np.sort(some.confidence)
    scores = redrawn_sweep(Drawing(some.confidence, 3, seed))
    drawn = np.random.default_rng(seed).random((3, len(ascending))) < ascending
    for score, correct in zip(scores, drawn, strict=True):
        probs = np.stack([ascending, 1 - ascending], axis=1)
        again = Predictions.from_probs(probs, np.where(correct, 0, 1))
        assert score == pytest.approx(metrics.ece_sweep(again), abs=1e-13)

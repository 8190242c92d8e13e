"""Sizes, edges, refusals and the bounds of a metric state."""

import io
import math

import numpy as np
import pytest

from calibench.errors import DataError, ParameterError
from calibench.metrics import classwise_ece, smooth_ece, top_label_bins, top_label_ece
from calibench.metrics.cells import NUM_CELLS
from calibench.metrics.float_sums import exponent_sums, total_of
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_results import (
    confidence_quantile,
    equal_mass_error,
    smooth_error,
)
from calibench.metrics.stream_top import MOST_EXAMPLES
from calibench.predictions import Predictions


def model(n, num_classes=10, scale=3.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal((n, num_classes))
    labels = np.where(
        rng.random(n) < 0.7, logits.argmax(axis=1), rng.integers(num_classes, size=n)
    )
    return Predictions.from_logits(logits, labels)


def binary(confidence, correct):
    """Class 1 is predicted with these confidences, each at least 1/2."""
    confidence = np.asarray(confidence)
    return Predictions.from_probs(
        np.stack([1 - confidence, confidence], axis=1), np.asarray(correct) * 1
    )


def test_size_is_constant_and_below_a_megabyte_for_ten_classes():
    one, many = MetricState.of(model(1)), MetricState.of(model(5000))
    sizes = [sum(a.nbytes for a in s.to_arrays().values()) for s in (one, many)]
    assert sizes[0] == sizes[1] == 796_840


def test_bins_are_those_of_memory_bit_for_bit():
    some = model(3000)
    expected, found = top_label_bins(some), MetricState.of(some).bins(15)
    for name in ("count", "confidence", "accuracy", "squared_gap", "lo", "hi"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes()


def test_it_survives_a_file():
    state = MetricState.of(model(50))
    stream = io.BytesIO()
    np.savez(stream, **state.to_arrays())
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as arrays:
        again = MetricState.from_arrays(arrays)
    assert again.result() == state.result()


@pytest.mark.parametrize("num_classes", [2, 200, 201, 2001])
def test_many_classes_have_fewer_cells_and_the_same_number(num_classes):
    some = model(20, num_classes, scale=8.0)
    state = MetricState.of(some)
    assert state.classes.shape[2] == {2: 600, 200: 600, 201: 120, 2001: 30}[num_classes]
    assert state.class_bins(15).mean_size() == classwise_ece(some)


def test_an_infinite_loss_is_counted_and_merged():
    some = Predictions.from_probs([[1.0, 0.0], [0.5, 0.5]], [1, 0])
    state = MetricState.of(some)
    assert int(state.merge(state).infinite) == 2
    assert state.result()["nll"] == math.inf
    assert total_of(state.losses[0]) == math.log(2)


def test_losses_too_large_to_square():
    some = Predictions.from_logits([[1e200, 0.0]], [1])
    assert MetricState.of(some).result()["nll"] == 1e200


def test_float_sums_know_the_smallest_and_the_largest():
    tiny, largest = 5e-324, np.finfo(np.float64).max
    assert total_of(exponent_sums(np.array([tiny, tiny, -tiny, 0.0]))) == tiny
    assert total_of(exponent_sums(np.array([largest]))) == largest
    assert total_of(exponent_sums(np.array([largest, largest]))) == math.inf
    assert total_of(exponent_sums(np.array([-largest, -largest]))) == -math.inf
    assert total_of(exponent_sums(np.array([]))) == 0.0


def test_float_sums_run_on_across_blocks(monkeypatch):
    monkeypatch.setattr("calibench.metrics.float_sums._BLOCK", 3)
    values = np.random.default_rng(0).standard_normal(10) * 1e9
    assert total_of(exponent_sums(values)) == math.fsum(values.tolist())


def test_equal_mass_is_exact_where_no_bin_ends_inside_a_cell():
    # Four cells of two examples each, two bins: ranks 0..3 and 4..7.
    confidence = np.repeat([0.6, 0.7, 0.8, 0.9], 2)
    some = binary(confidence, [1, 0, 1, 1, 0, 0, 1, 1])
    value, bound = equal_mass_error(MetricState.of(some), 2)
    assert bound == 0
    assert value == top_label_ece(some, num_bins=2, scheme="equal_mass")


def test_equal_mass_is_off_by_no_more_than_a_split_cell_allows():
    # All eight in one cell: memory makes two bins, (4 x 0.4 + 4 x 0.6) / 8, the cell
    # one, of gap |8 x 0.6 - 4| / 8 (but for the small steps).
    confidence = 0.6 - np.arange(1, 9) * 1e-6
    some = binary(confidence, [0, 0, 0, 0, 1, 1, 1, 1])
    value, bound = equal_mass_error(MetricState.of(some), 2)
    exact = top_label_ece(some, num_bins=2, scheme="equal_mass")
    assert value == pytest.approx(0.1, abs=1e-5)
    assert exact == pytest.approx(0.5, abs=1e-5)
    # What moves has gaps of 4 x 0.6 at most, or 4 x -0.4, and moves two sums.
    assert bound == pytest.approx(2 * 4 * 0.6 / 8, abs=1e-5)


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 30.0])
def test_smooth_error_is_within_its_bound_and_near(scale):
    some = model(2000, scale=scale)
    value, bound = smooth_error(MetricState.of(some))
    assert abs(value - smooth_ece(some)) <= bound + 2e-9
    assert bound < 1e-6


def test_smooth_error_too_small_for_the_cells():
    confidence = np.repeat([0.55, 0.65, 0.75, 0.85], 100)
    correct = np.concatenate(
        [np.arange(100) < round(100 * c) for c in confidence[::100]]
    )
    some = binary(confidence, correct)
    value, bound = smooth_error(MetricState.of(some))
    assert value < 4 / NUM_CELLS
    assert abs(value - smooth_ece(some)) <= bound
    assert bound <= 4 / NUM_CELLS + 0.121 / 16


def test_the_bound_counts_what_lies_between_the_error_and_the_narrowest_kernel():
    # Gaps of 4e-4 and -4e-4, 2e-4 apart: the true kernel is narrower than that of the
    # cells, which smooths more of them away.
    confidence = np.repeat([0.9990, 0.9992], 10_000)
    correct = np.concatenate([np.arange(10_000) < k for k in (9986, 9996)])
    some = binary(confidence, correct)
    value, bound = smooth_error(MetricState.of(some))
    lacking = smooth_ece(some) - value
    assert 2e-5 < lacking <= bound <= 4 / NUM_CELLS + 2e-5


def test_quantiles_are_within_a_cell():
    some = model(2000)
    state, ascending = MetricState.of(some), np.sort(some.confidence)
    for share in (0.0, 0.01, 0.25, 0.5, 0.9, 1.0):
        rank = max(math.ceil(share * 2000), 1)
        found = confidence_quantile(state, share)
        assert abs(found - ascending[rank - 1]) < 1 / NUM_CELLS
    with pytest.raises(ParameterError, match=r"share must be in \[0, 1\], got 1\.5"):
        confidence_quantile(state, 1.5)


def test_what_does_not_fit_is_refused():
    state = MetricState.of(model(3))
    with pytest.raises(DataError, match="10 classes cannot be merged with 2"):
        state.merge(MetricState.empty(2))
    full = MetricState.empty(10)
    full.top[0, 0] = MOST_EXAMPLES - 2
    with pytest.raises(DataError, match=r"room for 8,589,934,591 examples"):
        full.merge(state)
    with pytest.raises(ParameterError, match="at least 2, got 1"):
        MetricState.empty(1)
    with pytest.raises(ParameterError, match="without examples"):
        MetricState.empty(2).result()


def test_a_full_state_of_sure_examples_has_room_for_its_sums():
    # Its limbs of 30 bits, all ones at confidence 1, add up to just below 2^63.
    for label in (0, 1):
        one = MetricState.of(Predictions.from_probs([[1.0, 0.0]], [label]))
        arrays = one.to_arrays()
        full = MetricState.from_arrays(
            {name: np.asarray(each * MOST_EXAMPLES) for name, each in arrays.items()}
            | {"num_classes": arrays["num_classes"]}
        )
        assert full.num_examples == MOST_EXAMPLES
        found = full.result()
        assert found["mean_confidence"] == 1.0
        assert found["top_label_ece"] == label
        with pytest.raises(DataError, match="no more"):
            full.merge(one)


@pytest.mark.parametrize("num_bins", [0, -15, 7, 7201])
def test_bins_whose_edges_are_not_kept_are_refused(num_bins):
    with pytest.raises(ParameterError, match=r"does not divide .* Choose from 1, 2, 3"):
        MetricState.of(model(3)).bins(num_bins)


def test_arrays_of_something_else_are_refused():
    arrays = MetricState.of(model(3)).to_arrays()
    with pytest.raises(DataError, match="it lacks num_classes, top, odds"):
        MetricState.from_arrays({})
    with pytest.raises(DataError, match=r"top has shape \(8, 5\)"):
        MetricState.from_arrays(arrays | {"top": arrays["top"][:, :5]})
    with pytest.raises(DataError, match="dtype float64"):
        MetricState.from_arrays(arrays | {"top": arrays["top"].astype(float)})

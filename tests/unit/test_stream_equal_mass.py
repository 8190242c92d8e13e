"""Equal-mass bins from both grids of a state: their error, and a bound on its error."""

from pathlib import Path

import numpy as np
import pytest

from calibench.lab.data.prediction_files import read_predictions
from calibench.metrics import sweep_num_bins, top_label_ece
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_equal_mass import MassBins
from calibench.metrics.stream_pieces import Pieces
from calibench.metrics.sweep import largest_ascending
from calibench.predictions import Predictions

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "predictions"


def saturated(n=20_000, scale=30.0):
    """Most log-odds are beyond 10: confidences in the last cell of 1 / 7,200."""
    rng = np.random.default_rng(0)
    logits = 2 * scale * rng.standard_normal((n, 2))
    labels = (logits + 0.7 * scale * rng.gumbel(size=(n, 2))).argmax(axis=1)
    return Predictions.from_logits(logits, labels)


def binary(confidence, correct):
    confidence = np.asarray(confidence)
    probs = np.stack([1 - confidence, confidence], axis=1)
    return Predictions.from_probs(probs, np.asarray(correct) * 1)


def memory(some, num_bins):
    return top_label_ece(some, num_bins=num_bins, scheme="equal_mass")


def of_state(some, num_bins):
    return MassBins.of(Pieces.of(MetricState.of(some)), num_bins)


def test_pieces_hold_what_the_cells_hold():
    some = saturated(3000)
    pieces, state = Pieces.of(MetricState.of(some)), MetricState.of(some)
    assert pieces.count.sum() == 3000
    assert pieces.right.sum() == some.correct.sum()
    per_cell = np.add.reduceat(pieces.count, pieces.cell_starts)
    assert (per_cell == state.top[0, state.top[0] > 0]).all()
    assert len(pieces.count) > 1.5 * len(per_cell)
    ascending = np.sort(some.confidence)
    starts = np.cumsum(pieces.count) - pieces.count
    exact = np.add.reduceat(ascending, starts)
    assert (np.abs(pieces.total - exact) <= pieces.slack + 1e-9).all()
    assert (ascending[starts] >= pieces.low - 1e-15).all()
    last = ascending[starts + pieces.count - 1]
    assert (last <= pieces.high + 1e-15).all()


@pytest.mark.parametrize("num_bins", [2, 15, 100])
def test_a_saturated_model_is_cut_where_its_log_odds_lie(num_bins):
    some = saturated()
    assert (some.confidence > 1 - 1 / 7200).mean() > 0.7
    found = of_state(some, num_bins)
    assert abs(found.error - memory(some, num_bins)) <= found.bound + 1e-13
    # All of its bins are over-confident, whatever moves between them.
    assert found.bound == 0


def test_what_moves_between_bins_of_two_signs_counts_twice():
    # Two cells of 1 / 7,200 around 0.6, bins of four: the first ends inside the second
    # cell. Three wrong ones at 0.6 and three right ones at 0.6002.
    some = binary([0.6] * 3 + [0.60021, 0.60022, 0.60023], [0] * 3 + [1] * 3)
    found = of_state(some, 2)
    assert found.error == pytest.approx((3 * 0.6 + 3 * 0.39978) / 6, abs=1e-5)
    assert found.bound == 0  # ranks 0..2 and 3..5
    some = binary([0.6] * 2 + [0.60021, 0.60022, 0.60023], [0] * 2 + [1] * 3)
    found = of_state(some, 2)
    # Rank 2 of 5 is in bin 0, and its cell with it: one bin.
    assert found.error == pytest.approx((2 * 0.6 - 3 * 0.39978) / 5, abs=1e-5)
    exact = memory(some, 2)
    assert exact == pytest.approx((2 * 0.6 - 0.39978 + 2 * 0.39978) / 5, abs=1e-5)
    # Up to three right ones move, and two sums with each.
    assert found.bound == pytest.approx(2 * 3 * 0.4 / 5, abs=1e-3)


def test_a_single_confidence_is_never_cut():
    # All at 1, which share a bin in memory too.
    some = binary([1.0] * 9, [1] * 6 + [0] * 3)
    found = of_state(some, 15)
    assert (found.error, found.bound) == (memory(some, 15), 0.0)


@pytest.mark.parametrize("seed", range(300))
def test_the_bound_holds(seed):
    rng = np.random.default_rng(seed)
    n, num_bins = int(rng.integers(1, 60)), int(rng.choice([1, 2, 3, 5, 10, 15]))
    confidence = (
        rng.choice(1 - 10.0 ** -rng.uniform(0.31, 12, 5), n),
        0.6 + 3e-4 * rng.random(n),
        1 / (1 + np.exp(-rng.uniform(0, 12, n))),
        1 / (1 + np.exp(-rng.uniform(0, 0.3, n))),
    )[seed % 4]
    right = rng.random(n) < (confidence if seed % 3 else 0.5)
    some = binary(np.maximum(confidence, 0.5), right)
    found = of_state(some, num_bins)
    assert abs(found.error - memory(some, num_bins)) <= found.bound + 1e-13


@pytest.mark.parametrize(
    ("name", "most"),
    [("cifar10_lenet5_netcal.npz", 0.0), ("cifar10_wrn16-4_netcal.npz", 7e-4)],
)
def test_real_models(name, most):
    if not (FOLDER / name).exists():
        pytest.skip(f"{name} is not beside this checkout")
    some = read_predictions(FOLDER / name)
    found = of_state(some, 15)
    assert abs(found.error - memory(some, 15)) <= found.bound + 1e-13
    assert found.bound <= most


def test_a_sweep_of_a_saturated_model_chooses_about_as_many_bins():
    some = saturated()
    pieces = Pieces.of(MetricState.of(some))
    (found,) = largest_ascending(pieces.groups, pieces.right[None])
    # The cells of the confidence alone choose 41.
    assert (found, sweep_num_bins(some)) == (30, 30)

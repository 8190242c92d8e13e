"""Laws that hold for every metric, whatever the predictions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench import metrics
from calibench.predictions import Predictions
from strategies import edge_predictions, predictions

NUM_BINS = 10
ANY = predictions() | edge_predictions(NUM_BINS)
PANEL = list(
    metrics.scalars(Predictions.from_probs([[1.0, 0.0]], [0]), num_bins=NUM_BINS)
)
RANGES = {
    "nll": (0, math.inf),
    "brier": (0, 2),
    "confidence_gap": (-1, 1),
    "debiased_l1": (-0.8, 1),
    "debiased_l2": (-1, 1),
}


def panel(some):
    return metrics.scalars(some, num_bins=NUM_BINS)


def rearranged(some, rows):
    rebuild = getattr(Predictions, f"from_{some.kind}")
    return rebuild(some.values[rows], some.labels[rows])


def assert_same(one, other, tolerance=1e-12):
    for name in PANEL:
        assert one[name] == pytest.approx(other[name], abs=tolerance, rel=tolerance)


@given(ANY)
def test_every_metric_stays_in_its_range(some):
    for name, value in panel(some).items():
        low, high = RANGES.get(name, (0, 1))
        assert low <= value <= high + 1e-12, name


@given(ANY)
def test_the_panel_equals_the_single_metrics(some):
    values = panel(some)
    binned = {"num_bins": NUM_BINS}
    for name in PANEL:
        if name == "top_label_ece_equal_mass":
            alone = metrics.top_label_ece(some, scheme="equal_mass", **binned)
        elif name in {"error_rate", "nll", "brier", "mean_confidence"} | {
            "confidence_gap",
            "saturated_share",
            "smooth_ece",
        }:
            alone = getattr(metrics, name)(some)
        else:
            alone = getattr(metrics, name)(some, **binned)
        assert values[name] == alone


@given(ANY, st.randoms(use_true_random=False))
def test_order_changes_no_bit(some, random):
    rows = list(range(some.num_examples))
    random.shuffle(rows)
    assert panel(rearranged(some, rows)) == panel(some)


@given(ANY, st.integers(2, 4))
def test_repeating_every_example_changes_all_but_the_debiased(some, times):
    rows = np.repeat(np.arange(some.num_examples), times)
    repeated, once = panel(rearranged(some, rows)), panel(some)
    for name in ("debiased_l1", "debiased_l2"):
        repeated[name] = once[name]
    assert_same(repeated, once)


@given(predictions(), st.randoms(use_true_random=False))
def test_relabeling_the_classes_changes_nothing(some, random):
    classes = list(range(some.num_classes))
    random.shuffle(classes)
    position = np.argsort(classes)
    renamed = Predictions.from_logits(some.logits[:, classes], position[some.labels])
    # Ties between logits of different classes would break differently; random logits
    # have none.
    assert_same(panel(renamed), panel(some), 1e-11)


@given(ANY, st.sampled_from(["equal_width", "equal_mass"]))
def test_over_and_under_confidence_split_the_error(some, scheme):
    options = {"num_bins": NUM_BINS, "scheme": scheme}
    over = metrics.overconfidence(some, **options)
    under = metrics.underconfidence(some, **options)
    assert over + under == pytest.approx(
        metrics.top_label_ece(some, **options), abs=1e-14
    )
    assert over - under == pytest.approx(metrics.confidence_gap(some), abs=1e-14)


@given(ANY, st.integers(1, 8), st.integers(2, 4))
def test_finer_bins_never_lower_the_error(some, num_bins, times):
    # b / M and t b / (t M) are one number and so round to one edge: each coarse bin is
    # a union of fine ones, and its gap an average of theirs.
    coarse = metrics.top_label_ece(some, num_bins=num_bins)
    fine = metrics.top_label_ece(some, num_bins=num_bins * times)
    assert fine >= coarse - 1e-12


@given(ANY)
def test_the_errors_are_ordered(some):
    mean = metrics.top_label_ece(some)
    assert abs(metrics.confidence_gap(some)) <= mean + 1e-12
    assert mean <= metrics.rms_calibration_error(some) + 1e-12
    assert metrics.rms_calibration_error(some) <= (
        metrics.max_calibration_error(some) + 1e-12
    )


@given(predictions(max_classes=2), st.booleans())
def test_one_and_two_columns_are_one_problem(some, as_column):
    column = some.probs[:, 1]
    # A column of ones under labels of 0 is refused: it is the softmax of one class.
    as_column = as_column and bool((column < 1).any() or some.labels.any())
    two = Predictions.from_probs(np.stack([1 - column, column], axis=1), some.labels)
    one = Predictions.from_probs(column[:, None] if as_column else column, some.labels)
    assert panel(one) == panel(two)
    odds = some.logits[:, 1] - some.logits[:, 0]
    assert_same(panel(Predictions.from_logits(odds, some.labels)), panel(some))


@given(predictions(max_examples=20), st.sampled_from(["F", "strided", "reversed"]))
def test_layout_changes_no_bit(some, layout):
    logits = {
        "F": np.asfortranarray(some.logits),
        "strided": np.repeat(some.logits, 2, axis=1)[:, ::2],
        "reversed": some.logits[::-1, ::-1].copy()[::-1, ::-1],
    }[layout]
    again = Predictions.from_logits(logits, some.labels)
    assert panel(again) == panel(some)


@given(predictions(max_examples=20), st.sampled_from(["float16", "float32"]))
def test_a_narrow_dtype_scores_as_its_float64_copy(some, dtype):
    logits = np.clip(some.logits, -6e4, 6e4).astype(dtype)
    narrow = Predictions.from_logits(logits, some.labels.astype(np.int32))
    wide = Predictions.from_logits(logits.astype(np.float64), some.labels)
    assert panel(narrow) == panel(wide)


@given(predictions())
def test_a_floor_depends_on_the_examples_not_on_their_order(some):
    flipped = rearranged(some, np.arange(some.num_examples)[::-1])
    one = metrics.noise_floor(some, replicates=20)
    assert metrics.noise_floor(flipped, replicates=20) == one


@given(predictions())
def test_the_smooth_error_lies_between_its_bounds(some):
    gaps = some.confidence - some.correct
    value = metrics.smooth_ece(some)
    assert abs(gaps.mean()) - 1e-12 <= value <= np.abs(gaps).mean() + 1e-12

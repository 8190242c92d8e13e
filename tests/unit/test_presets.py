"""Presets by hand: the arithmetic is in the test, and no library is needed."""

import numpy as np
import pytest
import torch

from calibench.errors import ParameterError
from calibench.metrics import smooth_ece, top_label_ece
from calibench.metrics.presets import (
    OURS,
    PRESETS,
    NoNumberError,
    calibration_curve,
    our_definition,
)
from calibench.metrics.presets.single_precision import sums_in_turn, torch_edges
from calibench.predictions import Predictions


def top(confidence, correct, num_classes=2):
    """Predictions of class 0 with these confidences; class 1 is the label if wrong."""
    probs = np.zeros((len(confidence), num_classes))
    probs[:, 0] = confidence
    probs[:, 1] = 1 - probs[:, 0]
    return Predictions.from_probs(probs, [0 if right else 1 for right in correct])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_is(name):
    preset = PRESETS[name]
    assert preset.name == name
    for told in (preset.library, preset.versions, preset.checked, preset.call):
        assert told
    assert preset.differs.endswith(".")
    assert preset.fault is None or not preset.fault.endswith(".")
    for num_classes in (2, 3):
        some = top([0.75, 1.0], [True, False], num_classes)
        assert preset.counterpart(some) in OURS
        definition = preset.definition(some, num_bins=10)
        assert definition.quantity
        assert (definition.num_bins is None) is (definition.scheme is None)


def test_the_examples_that_make_the_difference_are_counted():
    some = top([1.0, 1 - 1e-9, 0.8, 0.6, 0.6], [True] * 5, 4)
    counts = {name: preset.num_touched(some) for name, preset in PRESETS.items()}
    assert counts["torchmetrics_l1"] == 2
    assert counts["torchmetrics_before_1_l1"] is None
    assert counts["torchmetrics_binary_l1"] == 0
    assert counts["relplot_smece"] == counts["relplot_binned_ece"] == 1
    assert counts["focal_calibration_adaece"] == 2
    assert counts["focal_calibration_classwise_ece"] == 3
    assert counts["sklearn_log_loss"] == 0
    assert PRESETS["sklearn_log_loss"].num_touched(top([1.0], [False])) == 1


@pytest.mark.parametrize("name", OURS)
def test_our_definitions_are_of_what_is_computed(name):
    some = Predictions.from_probs([0.25, 0.75, 0.5, 1.0], [0, 1, 1, 0])
    assert np.isfinite(OURS[name](some, 10)) or name == "nll"
    definition = our_definition(name, 10)
    assert definition.interval == ""
    assert (definition.probability == "class 1") is name.startswith("class_1")


def test_a_phantom_bin_parts_what_errs_in_both_directions():
    # Confidence 1 half right, .96 always right: apart |1 - .5| / 2 + .04 / 2 = .27,
    # together |.98 - .75| = .23.
    some = top([1, 1, 0.96, 0.96], [True, False, True, True], 3)
    assert top_label_ece(some, num_bins=10) == pytest.approx(0.23, abs=1e-15)
    assert PRESETS["torchmetrics_before_1_l1"](some, num_bins=10) == pytest.approx(0.23)
    assert PRESETS["torchmetrics_l1"](some, num_bins=10) == pytest.approx(0.27)
    assert PRESETS["torchmetrics_max"](some, num_bins=10) == pytest.approx(0.5)
    # The same where float32 rounds to 1.
    close = top([1 - 1e-9, 1 - 1e-9, 0.96, 0.96], [True, False, True, True], 3)
    assert PRESETS["torchmetrics_l1"](close, num_bins=10) == pytest.approx(0.27)


def test_the_closed_side_decides_on_an_edge():
    # .75 is an edge of 4 bins. (lo, hi]: with .7, |.725 - .5|; [lo, hi): with .95.
    some = top([0.7, 0.75, 0.95], [True, False, False], 3)
    right = (2 * abs(0.725 - 0.5) + 0.95) / 3
    left = (0.3 + 2 * 0.85) / 3
    for name in ("guo2017_ece", "torchmetrics_before_1_l1", "verified_calibration_ece"):
        assert PRESETS[name](some, num_bins=4) == pytest.approx(right), name
    for name in ("torchmetrics_l1", "relplot_binned_ece"):
        assert PRESETS[name](some, num_bins=4) == pytest.approx(left), name


def test_the_least_confident_counts_for_nothing():
    some = top([0.6, 0.8, 0.9, 1.0], [False, True, True, True])
    # One bin, open below at .6: |.9 - 1| * 3 / 4.
    adaptive = PRESETS["focal_calibration_adaece"]
    assert adaptive(some, num_bins=1) == pytest.approx(0.075)
    assert adaptive(top([0.6], [False])) == 0
    # As often as it occurs: |.8 - 1| / 3.
    some = top([0.6, 0.6, 0.8], [False, False, True])
    assert adaptive(some, num_bins=1) == pytest.approx(0.2 / 3)


def test_classes_above_the_largest_label_are_left_out():
    probs = [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]
    some = Predictions.from_probs(probs, [0, 1])
    # |.5 - .5| and |.25 - .5|; a third class would add |.25 - 0|.
    preset = PRESETS["focal_calibration_classwise_ece"]
    assert preset(some) == pytest.approx(0.125)
    assert OURS["classwise_ece"](some, 15) == pytest.approx(1 / 6)


def test_edges_are_counted_as_bins():
    some = top([0.75, 0.75, 0.95, 0.95], [True, False, True, True])
    # M = 2 edges are one bin: |.85 - .75|. Our two would be the same as one here.
    assert PRESETS["mapie_ece"](some, num_bins=2) == pytest.approx(0.1)
    # M = 11 are the ten bins that others are asked for with 10.
    ten = OURS["top_label_ece"](some, 10)
    assert PRESETS["mapie_ece"](some, num_bins=11) == pytest.approx(ten)
    assert PRESETS["mapie_ece"].definition(some, num_bins=11).num_bins == 10
    with pytest.raises(NoNumberError, match="0 / 0"):
        PRESETS["mapie_ece"](some, num_bins=1)


def test_an_array_split_depends_on_the_order():
    confidence = np.array([0.6, 0.9, 0.7, 0.8])
    correct = np.array([False, True, False, True])
    order = np.argsort(confidence)
    preset = PRESETS["mapie_ece_array_split"]
    given = preset(top(confidence, correct), num_bins=2)
    # (.6, .9 | .7, .8): one edge at .9, all in one bin: |.75 - .5|.
    assert given == pytest.approx(0.25)
    # (.6, .7 | .8, .9): |.65 - 0| / 2 + |.85 - 1| / 2.
    ordered = preset(top(confidence[order], correct[order]), num_bins=2)
    assert ordered == pytest.approx(0.4)


def test_half_the_mass_at_confidence_1_is_lost():
    some = top([1.0] * 90 + [0.5] * 10, [True] * 90 + [False] * 10)
    assert smooth_ece(some) == pytest.approx(0.05, abs=1e-12)
    # The published figure of the fault.
    assert PRESETS["relplot_smece"](some) == pytest.approx(0.0893, abs=1e-4)


def test_an_average_over_bins_forgets_their_weight():
    some = top([0.75] * 9 + [0.95], [True] * 9 + [False], 3)
    some = Predictions.from_probs(
        np.vstack([some.probs, [[0, 0, 1.0]]]), [0] * 9 + [1, 2]
    )
    # Ten bins: .75 by itself errs by .25; .95 and 1 together by |.975 - .5|.
    assert PRESETS["netcal_ace"](some, num_bins=10) == pytest.approx(
        (0.25 + 0.475) / 2, abs=1e-12
    )


def test_two_classes_are_binned_by_class_1():
    # P(1) = .1 and .9 are two bins; their confidence is one.
    some = Predictions.from_probs([[0.9, 0.1], [0.1, 0.9]], [1, 1])
    # |.1 - 1| / 2 + |.9 - 1| / 2 of class 1; |.9 - .5| of the confidence.
    for name in ("netcal_ece", "torchmetrics_binary_l1"):
        assert PRESETS[name](some, num_bins=5) == pytest.approx(0.5), name
        assert PRESETS[name].counterpart(some) == "class_1_top_label_ece"
    assert PRESETS["guo2017_ece"](some, num_bins=5) == pytest.approx(0.4)
    share, mean = calibration_curve(some, num_bins=5)
    assert share.tolist() == [1, 1]
    assert mean.tolist() == pytest.approx([0.1, 0.9])


@pytest.mark.parametrize(
    ("name", "probs", "labels", "message"),
    [
        ("torchmetrics_binary_l1", [[0.5, 0.25, 0.25]], [0], "two classes only"),
        ("torchmetrics_before_1_binary_l1", [[1.0, 0.0]], [0], "the bin -1"),
        ("netcal_ece", [[0.5, 0.25, 0.25]], [0], "expects two columns"),
        ("netcal_ece_equal_mass", [[0.5, 0.5]] * 3, [0, 1, 1], "two edges equal"),
        ("mapie_ece_array_split", [[0.5, 0.5]] * 3, [0, 1, 1], "fewer examples"),
    ],
)
def test_where_a_library_stops_there_is_no_number(name, probs, labels, message):
    with pytest.raises(NoNumberError, match=message):
        PRESETS[name](Predictions.from_probs(probs, labels))


def test_a_negative_square_becomes_calibrated():
    # Four confidences at .5 with two right: 0 - .25 / 3, cut off at 0.
    some = top([0.5] * 4, [True, True, False, False])
    preset = PRESETS["verified_calibration_lower_bound_l2"]
    assert preset(some, num_bins=1) == 0
    # Ours keeps the sign: [0 - 4 / 4] / 3 / 4 = -1 / 12.
    ours = OURS["debiased_rms_equal_mass"](some, 1)
    assert ours == pytest.approx(-np.sqrt(1 / 12))


def test_probability_0_costs_what_clipping_leaves():
    some = Predictions.from_probs([[1.0, 0.0]], [1])
    assert OURS["nll"](some, 1) == np.inf
    assert PRESETS["sklearn_log_loss"](some) == pytest.approx(52 * np.log(2))
    found = PRESETS["sklearn_log_loss"](some, dtype="float32")
    assert found == pytest.approx(23 * np.log(2))
    # And 1 costs what is left to it: -ln(1 - 2^-23).
    sure = PRESETS["sklearn_log_loss"](top([1.0], [True]), dtype="float32")
    assert sure == pytest.approx(2**-23, rel=1e-6)


def test_an_unknown_strategy_is_refused():
    some = top([0.75], [True])
    with pytest.raises(ParameterError, match="Did you mean 'uniform'"):
        calibration_curve(some, strategy="uniforn")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges_are_those_of_torch(dtype):
    for num_bins in [*range(1, 130), 1000, 9999]:
        theirs = torch.linspace(0, 1, num_bins + 1, dtype=getattr(torch, dtype))
        ours = torch_edges(num_bins, np.dtype(dtype))
        assert ours.tobytes() == theirs.numpy().tobytes(), num_bins


def test_sums_are_those_of_scatter_add():
    rng = np.random.default_rng(0)
    index, values = rng.integers(16, size=10_000), rng.random(10_000, dtype=np.float32)
    theirs = torch.zeros(16).scatter_add_(0, torch.tensor(index), torch.tensor(values))
    assert sums_in_turn(index, values, 16).tobytes() == theirs.numpy().tobytes()


def test_predictions_are_not_modified():
    probs = np.random.default_rng(0).dirichlet(np.ones(2), 30)
    kept = probs.copy()
    some = Predictions.from_probs(probs, [0, 1] * 15)
    for preset in PRESETS.values():
        for dtype in ("float32", "float64"):
            preset(some, dtype=dtype)
    assert probs.tobytes() == kept.tobytes()

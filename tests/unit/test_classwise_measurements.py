"""The variants of the class-wise error come with intervals, floors and definitions."""

import json
import math

import numpy as np
import pytest

from calibench import metrics
from calibench.errors import DataError, ParameterError
from calibench.metrics import class_residuals
from calibench.metrics.class_residuals import (
    ClassResiduals,
    of_mean_size_of_some,
    of_mean_square,
)
from calibench.metrics.classwise_evaluation import Cells
from calibench.predictions import Predictions

NAMES = ["classwise_rms_error", "thresholded_classwise_ece"]


def model(num_examples, sharpness, num_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(num_examples, num_classes))
    labels = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    return Predictions.from_logits(sharpness * z, labels)


def measured(some, **options):
    return metrics.classwise_measurements(some, **{"replicates": 20} | options)


def test_values_are_those_of_the_functions():
    some = model(400, 2.0)
    found = measured(some, num_bins=7, threshold=0.2)
    assert list(found) == NAMES
    assert found[NAMES[0]].value == metrics.classwise_rms_error(some, num_bins=7)
    assert found[NAMES[1]].value == metrics.thresholded_classwise_ece(
        some, num_bins=7, threshold=0.2
    )
    for each in found.values():
        lo, hi = each.interval
        assert 0 < lo < hi < 1
        assert each.floor.mean < each.floor.p95 < each.value
        assert each.floor.p_value == 1 / 21
        assert each.definition.interval.startswith("covers at least as stated")
        json.dumps(each.to_dict(), allow_nan=False)


def test_floors_are_scores_of_redrawn_labels():
    """Of a calibrated model they are like those of other draws of its labels."""
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.full(3, 0.5), size=300)
    scores = {name: [] for name in NAMES}
    for _ in range(200):
        labels = (rng.random((300, 1)) > probs.cumsum(axis=1)[:, :-1]).sum(axis=1)
        some = Predictions.from_probs(probs, labels)
        for name in NAMES:
            scores[name].append(getattr(metrics, name)(some, num_bins=5))
    found = measured(some, num_bins=5, replicates=400)
    for name in NAMES:
        error = np.std(scores[name]) / math.sqrt(200)
        assert found[name].floor.mean == pytest.approx(
            np.mean(scores[name]), abs=5 * error
        )


def test_the_squared_error_is_the_mean_over_pairs_by_hand():
    # One bin; residuals of class 0 are -.25, -.25, .75, those of class 1 the reverse.
    # Pairs: (S^2 - Q) / (m - 1) = (.0625 - .6875) / 2 = -.3125, over n = 3. The root of
    # its interval ends at 0 below; the number itself is |S| / n = .25 / 3.
    some = Predictions.from_probs([[0.75, 0.25]] * 3, [0, 0, 1])
    residuals = Cells.of(some, 1, "equal_width", 0.0).residuals
    assert residuals.sum.tolist() == [[0.25], [-0.25]]
    assert residuals.square.tolist() == [[0.6875], [0.6875]]
    # Cells of both classes hold the same three examples, each r_0 r_1 = -r_0^2.
    assert residuals.products(residuals.residual) == pytest.approx(4 * 0.6875**2)
    lo, hi = of_mean_square(residuals, 0.95)
    assert lo == 0
    assert hi >= metrics.classwise_rms_error(some, num_bins=1) == 0.25 / 3


def test_two_classes_are_one_problem():
    """Their residuals are opposite: the interval is nearly that of class 1 alone."""
    some = model(2000, 1.8, num_classes=2)
    residuals = Cells.of(some, 10, "equal_width", 0.0).residuals
    one = ClassResiduals(residuals.residual[1:], residuals.cell[1:], 10)
    assert of_mean_square(residuals, 0.95) == pytest.approx(
        of_mean_square(one, 0.95), rel=1e-3
    )


@pytest.mark.parametrize("interval", [of_mean_square, of_mean_size_of_some])
def test_a_higher_level_is_wider_and_more_examples_are_narrower(interval):
    def ends(num_examples, level):
        some = model(num_examples, 2.0)
        return interval(Cells.of(some, 10, "equal_width", 0.0).residuals, level)

    few, sure, many = ends(500, 0.9), ends(500, 0.99), ends(8000, 0.9)
    assert sure[0] < few[0] < few[1] < sure[1]
    assert many[1] - many[0] < few[1] - few[0]


def test_perfect_predictions_are_not_certain():
    some = Predictions.from_probs(np.eye(3)[[0, 1, 2] * 40], [0, 1, 2] * 40)
    for each in measured(some).values():
        assert each.value == 0
        lo, hi = each.interval
        assert lo == 0
        assert 0.001 < hi < 0.2


def test_whole_number_weights_repeat_examples():
    some = model(300, 2.0)
    counts = np.random.default_rng(2).integers(0, 4, 300)
    weighted = Predictions.from_logits(some.logits, some.labels, weights=counts)
    found = measured(weighted, threshold=0.1)
    again = measured(some.rows(np.repeat(np.arange(300), counts)), threshold=0.1)
    for name in NAMES:
        one, other = found[name], again[name]
        assert one.value == pytest.approx(other.value, rel=1e-12)
        assert one.interval == pytest.approx(other.interval, rel=1e-9)
        assert one.floor.p95 == pytest.approx(other.floor.p95, rel=1e-9)


def test_the_order_of_the_examples_changes_no_bit():
    some = model(200, 1.5)
    mixed = some.rows(np.random.default_rng(3).permutation(200))
    for name, each in measured(some).items():
        assert measured(mixed)[name] == each


def test_where_there_is_no_interval_the_reason_is_said(monkeypatch):
    few = measured(model(99, 1.0))
    for each in few.values():
        assert each.interval is None
        assert each.definition.interval == "none: fewer than 100 examples"
    none = measured(model(150, 0.1), threshold=0.9)[NAMES[1]]
    assert (none.value, none.interval) == (0, None)
    assert none.definition.interval == "none: no probability reaches the threshold"
    monkeypatch.setattr(class_residuals, "MOST_PRODUCTS", 100)
    residuals = Cells.of(model(150, 1.0), 5, "equal_width", 0.0).residuals
    assert of_mean_square(residuals, 0.9) is None


def test_what_is_refused():
    some = model(120, 1.0)
    weighted = Predictions.from_logits(some.logits, some.labels, weights=[0.5] * 120)
    with pytest.raises(DataError, match="not whole numbers"):
        measured(weighted)
    for wrong in ({"threshold": 1.5}, {"num_bins": 0}, {"level": 1.0}, {"seed": -1}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            measured(some, **wrong)


@pytest.mark.parametrize("sharpness", [1.0, 1.6])
def test_intervals_hold_the_truth(sharpness):
    """Of 120 draws from a population whose posterior is known."""
    rng = np.random.default_rng(4)
    z = 1.5 * rng.normal(size=(20_000, 4))
    posterior = Predictions.from_logits(z, [0] * 20_000).probs
    all_of_them = Predictions.from_logits(sharpness * z, [0] * 20_000)
    cells = Cells.of(all_of_them, 10, "equal_width", 0.0).residuals.cell
    gaps = (all_of_them.probs - posterior).T
    truth = 0.0
    for cell, gap in zip(cells, gaps, strict=True):
        count, total = np.bincount(cell), np.bincount(cell, gap)
        truth += (total**2 / np.maximum(count, 1)).sum() / 20_000 / 4
    held = 0
    for _ in range(120):
        rows = rng.integers(20_000, size=400)
        upto = posterior[rows].cumsum(axis=1)[:, :-1]
        labels = (rng.random((400, 1)) > upto).sum(axis=1)
        some = Predictions.from_logits(sharpness * z[rows], labels)
        lo, hi = of_mean_square(Cells.of(some, 10, "equal_width", 0.0).residuals, 0.95)
        held += lo**2 - 1e-12 <= truth <= hi**2 + 1e-12
    assert held >= 108

import numpy as np
import pytest

from calibench import metrics, posthoc
from calibench.lab.study.measure import FITTED, epoch_rows
from calibench.predictions import Predictions


def split(name, num_classes, size=300, seed=0):
    rng = np.random.default_rng([seed, len(name)])
    logits = rng.standard_normal((size, num_classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    labels[:num_classes] = np.arange(num_classes)
    return Predictions.from_logits(2 * logits, labels, split=name)


def measured(num_classes, **spoiled):
    splits = {
        name: split(name, num_classes) for name in ("selection", "calibration", "test")
    } | spoiled
    rows = epoch_rows(3, splits, {})
    return splits, {(row["split"], row["calibrator"]): row for row in rows}


def test_test_is_measured_after_each_calibrator():
    splits, rows = measured(4)
    plain = [(name, "none") for name in splits]
    assert [*rows] == plain + [("test", name) for name in FITTED]
    for name in FITTED:
        fitted = posthoc.fit(splits["calibration"], name)
        row = rows["test", name]
        assert row["nll"] == metrics.nll(fitted.apply(splits["test"]))
        assert row["nll"] < rows["test", "none"]["nll"], "they were twice too sharp"
    assert rows["test", "temperature"]["temperature"] == pytest.approx(2, rel=0.2)


def test_refinement_and_calibration_add_up_to_the_score():
    _, rows = measured(4)
    for score in ("nll", "brier"):
        row = rows["test", "none"]
        parts = row[f"{score}_refinement"] + row[f"{score}_calibration"]
        assert parts == pytest.approx(row[score], abs=1e-12)
    assert "nll_refinement" not in rows["selection", "none"]
    assert "nll_refinement" not in rows["test", "temperature"]


def test_what_cannot_be_fitted_says_why():
    separable = Predictions.from_logits(
        np.eye(4)[np.arange(40) % 4], np.arange(40) % 4, split="calibration"
    )
    _, rows = measured(4, calibration=separable)
    assert rows["test", "temperature"]["temperature"] is None
    assert "no finite optimum" in rows["test", "temperature"]["reason"]
    assert "nll" not in rows["test", "vector_scaling"]
    few = split("test", 4, size=7)
    _, rows = measured(4, test=few)
    assert "nll_refinement" not in rows["test", "none"]
    assert "folds" in rows["test", "none"]["parts_reason"]


def test_a_map_of_many_classes_is_left_out():
    _, rows = measured(40)
    assert rows["test", "dirichlet"]["reason"] == "not fitted to more than 32 classes"
    assert "nll" in rows["test", "vector_scaling"]

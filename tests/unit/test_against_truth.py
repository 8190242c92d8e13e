"""A second yardstick over a store, against what the made-up store is known to be."""

import json

import numpy as np
import pytest

from calibench.errors import DataError, ParameterError
from calibench.lab.store.examples import posterior_of, predictions_of
from calibench.lab.study.against_truth import against_truth
from calibench.metrics import Truth, true_calibration_error
from command_line import calibench
from report_store import Course, write_store

SHARP, TRUE = (4.0, 4.0), (1.0, 1.0)


def courses(*seeds):
    return {
        ("resnet18", loss, seed): Course(sharpness=sharpness)
        for seed in seeds
        for loss, sharpness in [("cross_entropy", SHARP), ("focal-gamma3", TRUE)]
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("truth") / "store"
    return write_store(path, courses(0, 1), models=("resnet18",), seeds=(0, 1))


def posterior(store, run=0):
    """P(y | x) of test examples, by their number in the data set."""
    columns = store.runs()[run].examples()
    known = np.full((columns["example"].max() + 1, 3), 1 / 3)
    test = columns["split"] == "test"
    known[columns["example"][test]] = posterior_of(columns, "test")
    return known


def test_the_overconfident_loss_is_further_from_the_truth(store):
    found = against_truth(store.path, Truth.from_posterior(posterior(store)))
    plain = [each for each in found.differences if each.calibrator == "none"]
    assert {each.metric for each in plain} == {
        "true_squared_calibration_error",
        "soft_label_nll",
    }
    for each in plain:
        assert (each.loss, each.against) == ("focal-gamma3", "cross_entropy")
        assert each.seeds == (0, 1)
        assert each.value < each.interval[1] < 0
        assert each.p_adjusted < 0.01
    # The temperature of the sharpened logits makes them the truth again.
    for each in found.differences:
        if each.calibrator == "temperature":
            assert abs(each.value) < 0.02


def test_a_run_has_the_numbers_of_the_library(store):
    known = posterior(store)
    found = against_truth(store.path, Truth.from_posterior(known))
    assert [(run.seed, run.loss, run.calibrator) for run in found.runs[:2]] == [
        (0, "cross_entropy", "none"),
        (0, "cross_entropy", "temperature"),
    ]
    first = store.runs()[0]
    columns = first.predictions(2)
    some = predictions_of(columns, "test")
    rows = columns["example"][columns["split"] == "test"]
    run = found.runs[0]
    assert run.found.measurements["true_calibration_error"].value == (
        true_calibration_error(some, known[rows])
    )
    assert run.error_rate == pytest.approx(1 - some.correct.mean())


def test_counts_have_floors_and_rows_are_chosen_by_number(store):
    rng = np.random.default_rng(0)
    counts = rng.multinomial(50, posterior(store))
    found = against_truth(store.path, Truth.from_counts(counts))
    squared = found.runs[0].found.measurements["true_squared_calibration_error"]
    assert squared.floor.p95 < squared.value
    calibrated = found.runs[2].found.measurements["true_squared_calibration_error"]
    assert calibrated.interval[0] < 0 < calibrated.interval[1]
    # Rows beyond the measured examples are not looked at.
    more = np.vstack([counts, [[50, 0, 0]] * 7])
    again = against_truth(store.path, Truth.from_counts(more))
    assert again.to_dict() == found.to_dict()


def test_what_cannot_be_held_against_it_is_said(store, tmp_path):
    known = posterior(store)
    with pytest.raises(DataError, match="Give that of the whole test split"):
        against_truth(store.path, Truth.from_posterior(known[:-1]))
    with pytest.raises(DataError):
        against_truth(store.path, Truth.from_posterior(np.full((len(known), 2), 0.5)))
    unbegun = {
        ("resnet18", "cross_entropy", 0): Course(outcome=None),
        ("resnet18", "focal-gamma3", 0): Course(),
    }
    some = write_store(tmp_path / "half", unbegun, models=("resnet18",))
    found = against_truth(some.path, Truth.from_posterior(posterior(some)))
    assert found.missing == ("resnet18-cross_entropy-seed0",)
    assert found.differences == ()
    assert "not finished, left out" in found.text()
    none = {name: Course(outcome=None) for name in unbegun}
    empty = write_store(tmp_path / "none", none, models=("resnet18",))
    with pytest.raises(ParameterError, match="no run is finished"):
        against_truth(empty.path, Truth.from_posterior(known))


def test_the_command_prints_a_table_and_json(store, tmp_path):
    np.save(tmp_path / "known_posterior.npy", posterior(store))
    words = ["truth", store.path, "--truth", tmp_path / "known_posterior.npy"]
    done = calibench(*words)
    assert done.code == 0, done.err
    assert "focal-gamma3 - cross_entropy" in done.out
    found = calibench(*words, "--json").json
    assert len(found["runs"]) == 8
    assert found["missing"] == []
    assert json.dumps(found, allow_nan=False)


def test_shuffled_rows_are_pointed_out(store):
    known = posterior(store)
    wrong = known[np.random.default_rng(1).permutation(len(known))]
    found = against_truth(store.path, Truth.from_posterior(wrong))
    assert "no better than by chance" in found.text()

import json

import pytest

from calibench.errors import DataError, ParameterError
from calibench.lab.report.results import ECE, TEMPERATURE, read_results
from calibench.lab.report.summary import final_rows, standing
from report_store import CROSS_ENTROPY, FOCAL, Course, write_store


def results_of(tmp_path, courses, **more):
    write_store(tmp_path / "store", courses, models=("resnet18",), **more)
    return read_results(tmp_path / "store")


def row_of(results, loss):
    return next(row for row in final_rows(results) if row.loss.name == loss)


def test_final_numbers_are_those_of_the_last_row(tmp_path):
    results = results_of(tmp_path, {})
    run = results.runs[0]
    last = [
        row
        for row in run.folder.rows(2)
        if row["split"] == "test" and row["calibrator"] == "none"
    ]
    row = row_of(results, "cross_entropy")
    assert row.estimates[ECE].mean == last[0]["top_label_ece"]
    assert row.epoch == 2
    assert row.is_final
    assert row.notes == ()


def test_seeds_are_averaged_and_their_range_kept(tmp_path):
    courses = {
        ("resnet18", "cross_entropy", 0): Course(sharpness=(1.0, 2.0)),
        ("resnet18", "cross_entropy", 1): Course(sharpness=(1.0, 3.0)),
    }
    results = results_of(tmp_path, courses, seeds=(0, 1))
    values = [run.value(2, ECE) for run in results.cell("resnet18", "cross_entropy")]
    estimate = row_of(results, "cross_entropy").estimates[ECE]
    assert estimate.mean == (values[0] + values[1]) / 2
    assert (estimate.low, estimate.high) == tuple(sorted(values))
    assert estimate.low < estimate.high


def test_a_diverged_seed_has_no_final_number(tmp_path):
    courses = {
        ("resnet18", "focal-gamma3", 1): Course(
            sharpness=(9.0,), outcome="diverged", reason="the training loss is nan."
        )
    }
    results = results_of(tmp_path, courses, seeds=(0, 1))
    row = row_of(results, "focal-gamma3")
    assert row.seeds == (0,)
    assert row.estimates[ECE].num_seeds == 1
    assert row.notes == (
        "seed 1 diverged after epoch 1 of 2: the training loss is nan",
    )


def test_where_every_seed_diverged_there_is_no_number_and_never_0(tmp_path):
    course = Course(sharpness=(1.0,), outcome="diverged", reason="nan")
    results = results_of(tmp_path, {("resnet18", "focal-gamma3", 0): course})
    row = row_of(results, "focal-gamma3")
    assert row.epoch is None
    assert not row.estimates
    assert not row.is_final


def test_an_unfinished_run_shows_its_last_epoch_until_one_has_finished(tmp_path):
    half = Course(sharpness=(1.0,), outcome=None)
    both = {("resnet18", "focal-gamma3", seed): half for seed in (0, 1)}
    results = results_of(tmp_path / "a", both, seeds=(0, 1))
    row = row_of(results, "focal-gamma3")
    assert (row.epoch, row.is_final, row.seeds) == (1, False, (0, 1))
    one = {("resnet18", "focal-gamma3", 0): half}
    row = row_of(results_of(tmp_path / "b", one, seeds=(0, 1)), "focal-gamma3")
    assert (row.epoch, row.is_final, row.seeds) == (2, True, (1,))
    assert row.notes == ("seed 0 is unfinished, after epoch 1 of 2",)


def test_runs_that_never_began_know_their_place_in_the_grid(tmp_path):
    courses = {("resnet18", "focal-gamma3", 0): Course(sharpness=())}
    results = results_of(tmp_path, courses)
    run = results.runs[1]
    assert (run.model, run.loss, run.seed) == ("resnet18", "focal-gamma3", 0)
    assert standing(run, 2) == "seed 0 has not begun"
    entry = next(loss for loss in results.losses if loss.name == "focal-gamma3")
    assert entry.target_confidence is None


def test_a_failed_run_is_told_with_its_reason(tmp_path):
    failed = Course(sharpness=(1.0,), outcome=None, failure="the disk is full.")
    results = results_of(tmp_path, {("resnet18", "cross_entropy", 0): failed})
    assert standing(results.runs[0], 2) == (
        "seed 0 failed after epoch 1 of 2: the disk is full"
    )


def test_a_failure_that_was_resumed_to_the_end_is_no_failure(tmp_path):
    healed = Course(failure="the disk is full.")
    results = results_of(tmp_path, {("resnet18", "cross_entropy", 0): healed})
    assert results.runs[0].outcome == "finished"
    assert results.runs[0].reason is None


def test_a_temperature_without_optimum_is_absent_with_its_reason(tmp_path):
    # Labels against every logit: the flatter the better, up to T = infinity.
    course = Course(sharpness=(1.0, -1.0))
    results = results_of(tmp_path, {("resnet18", "cross_entropy", 0): course})
    row = row_of(results, "cross_entropy")
    assert row.mean(TEMPERATURE) is None
    assert "no finite optimum" in row.absences[TEMPERATURE]
    assert results.runs[0].series(TEMPERATURE).keys() == {1}


def test_a_store_without_an_epoch_is_refused(tmp_path):
    nothing = Course(sharpness=(), outcome=None)
    courses = {
        ("resnet18", loss["name"], 0): nothing for loss in (CROSS_ENTROPY, FOCAL)
    }
    with pytest.raises(ParameterError, match=r"no epoch .* has been measured yet"):
        results_of(tmp_path, courses)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="is not a store"):
        read_results(tmp_path)


def test_a_grid_that_does_not_fit_its_runs_is_refused(tmp_path):
    store = write_store(tmp_path / "store", {})
    content = json.loads((store.path / "study.json").read_text())
    content["runs"].pop()
    del content["seal"]  # as of a version that wrote none
    (store.path / "study.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="lists 3 runs for a grid of 4"):
        read_results(store.path)

"""`calibench evaluate --weights` says of counted rows what it says of repeated ones."""

import csv
import json
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibench import cli, metrics
from calibench.errors import DataError, ParameterError
from calibench.lab import evaluation
from calibench.lab.data import prediction_layout
from calibench.lab.evaluation import evaluate_as_asked, evaluate_files
from calibench.lab.evaluation_request import Request
from calibench.predictions import Predictions

RNG = np.random.default_rng(2)
LOGITS = RNG.standard_normal((60, 3))
LABELS = RNG.integers(3, size=60)
SITE = np.arange(60) % 3
COUNT = RNG.integers(0, 4, size=60) * (SITE != 2)
ROWS = np.repeat(np.arange(60), COUNT)


def write(path, rows=slice(None), **columns):
    arrays = {"labels": LABELS[rows], "site": SITE[rows]} | columns
    if path.suffix == ".npz":
        np.savez(path, logits=LOGITS[rows], **arrays)
        return path
    if path.suffix == ".npy":
        for name, array in {"logits": LOGITS[rows], **arrays}.items():
            np.save(path.with_name(f"{name}.npy"), array)
        return path.with_name("logits.npy")
    classes = {f"logit_{k}": LOGITS[rows, k] for k in range(3)}
    table = classes | {"label": arrays.pop("labels")} | arrays
    if path.suffix == ".csv":
        with path.open("w", newline="") as stream:
            lines = csv.writer(stream)
            lines.writerow(table)
            lines.writerows(zip(*map(list, table.values()), strict=True))
        return path
    content = pa.table(table)
    if path.suffix == ".parquet":
        pq.write_table(content, path, row_group_size=16)
    else:
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_file(sink, content.schema) as w,
        ):
            w.write_table(content)
    return path


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    evaluate = partial(metrics.evaluate, replicates=20)
    monkeypatch.setattr(metrics, "evaluate", evaluate)
    of_state = partial(evaluation.evaluate_state, replicates=20)
    monkeypatch.setattr(evaluation, "evaluate_state", of_state)


@pytest.fixture
def streamed(monkeypatch):
    monkeypatch.setattr(evaluation, "_MOST_ROWS", 10)
    # Parts of ten rows.
    monkeypatch.setattr(prediction_layout, "_CHUNK", 30)


def without_size(found):
    plain = found.to_dict()
    for each in (plain, *plain["groups"].values()):
        del each["n"]
        each.pop("total_weight", None)
    return plain


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv", ".parquet", ".arrow"])
def test_a_pass_over_counted_rows_has_the_bits_of_repeated_rows(
    suffix, tmp_path, streamed
):
    counted = write(tmp_path / f"counted{suffix}", count=COUNT)
    found = evaluate_files([counted], by="site", weights="count")
    (tmp_path / "apart").mkdir()
    repeated = write(tmp_path / "apart" / f"repeated{suffix}", ROWS)
    expected = evaluate_files([repeated], by="site")
    assert without_size(found) == without_size(expected)
    # The third group has no weight, so that it is not there.
    assert list(found.groups) == ["0", "1"]
    assert found.overall.total_weight == found.overall.n == len(ROWS)


def test_in_memory_they_are_weights_of_the_predictions(tmp_path):
    path = write(tmp_path / "counted.npz", count=COUNT)
    found = evaluate_files([path], by="site", weights="count")
    some = Predictions.from_logits(LOGITS, LABELS, weights=COUNT)
    assert found.overall.to_dict() == metrics.evaluate(some).to_dict()
    assert list(found.groups) == ["0", "1"]
    assert found.groups["1"].total_weight == COUNT[SITE == 1].sum()
    text = found.text().splitlines()
    assert f"60 predictions of 3 classes, of total weight {len(ROWS)}" in text


def test_parts_without_any_weight_are_rows_without_weight(tmp_path):
    # The first file has no weight at all, the second only ones.
    nothing = write(tmp_path / "0.npz", slice(0, 20), count=np.zeros(20))
    once = write(tmp_path / "1.npz", slice(20, 60), count=np.ones(40))
    found = evaluate_files([nothing, once], weights="count")
    expected = metrics.evaluate(Predictions.from_logits(LOGITS[20:], LABELS[20:]))
    assert found.overall.n == 60
    assert found.overall.total_weight == 40
    assert found.overall.measurements == expected.measurements


def test_many_repetitions_are_not_redrawn_row_by_row(tmp_path):
    path = write(tmp_path / "counted.npz", count=COUNT * 10_000)
    found = evaluate_files([path], weights="count")
    assert found.overall.total_weight == 10_000 * len(ROWS)
    # It went through a state.
    assert "from cells" in found.overall.measurements["smooth_ece"].definition.edges
    expected = metrics.top_label_ece(
        Predictions.from_logits(LOGITS[ROWS], LABELS[ROWS])
    )
    assert found.overall.measurements["top_label_ece"].value == expected


def test_fractions_have_values_in_memory_and_are_refused_in_a_pass(
    tmp_path, monkeypatch
):
    path = write(tmp_path / "weighed.npz", share=COUNT / 7)
    found = evaluate_files([path], weights="share").overall
    expected = metrics.top_label_ece(
        Predictions.from_logits(LOGITS, LABELS, weights=COUNT / 7)
    )
    assert found.measurements["top_label_ece"].value == expected
    assert found.measurements["top_label_ece"].floor is None
    monkeypatch.setattr(evaluation, "_MOST_ROWS", 10)
    with pytest.raises(DataError, match=r"weighed\.npz: weights are not whole numbers"):
        evaluate_files([path], weights="share")


@pytest.mark.parametrize("most", [10, 100_000])
def test_what_is_refused_names_file_and_row(tmp_path, monkeypatch, most):
    monkeypatch.setattr(evaluation, "_MOST_ROWS", most)
    monkeypatch.setattr(prediction_layout, "_CHUNK", 30)
    wrong = COUNT.astype(float)
    wrong[47] = -1
    path = write(tmp_path / "wrong.npz", count=wrong, nothing=np.zeros(60))
    with pytest.raises(DataError, match=r"wrong\.npz: weights: -1\.0 in row 47"):
        evaluate_files([path], weights="count")
    with pytest.raises(DataError, match=r"no array 'weight' among .*count"):
        evaluate_files([path], weights="weight")
    with pytest.raises(DataError, match=r"(0|0 everywhere), so that no"):
        evaluate_files([path], weights="nothing")


def test_a_column_of_text_is_no_weight(tmp_path):
    words = np.array(["a"] * 60)
    for suffix, complaint in {
        ".csv": "line 2, word: 'a' is not a number",
        ".parquet": "word must hold real numbers, got the type string",
        ".npz": "word",
    }.items():
        path = write(tmp_path / f"words{suffix}", word=words)
        with pytest.raises(DataError, match=complaint):
            evaluate_files([path], weights="word")


def test_two_sets_are_compared_by_the_same_weights(tmp_path):
    one = write(tmp_path / "one.npz", count=COUNT)
    other = write(tmp_path / "other.npz", count=COUNT + 1)
    request = Request(against=one, weights="count")
    found = evaluate_as_asked([one], request)
    assert found.comparison.differences["nll"].value == 0
    with pytest.raises(DataError, match="the weights are not the same"):
        evaluate_as_asked([other], request)


def test_the_truth_takes_no_weights(tmp_path):
    with pytest.raises(ParameterError, match="--weights and --truth do not go"):
        Request(weights="count", truth=tmp_path / "truth.npz")


def test_the_command(tmp_path, capsys):
    path = write(tmp_path / "counted.csv", count=COUNT)
    words = ["evaluate", str(path), "--weights", "count", "--json"]
    cli.app(words, standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["n"], printed["total_weight"]) == (60, len(ROWS))

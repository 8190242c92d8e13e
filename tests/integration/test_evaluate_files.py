"""`calibench evaluate` on one file, on many, by group, in memory and in one pass."""

import json
import subprocess
import sys

import numpy as np
import pytest

from calibench import cli, metrics
from calibench.errors import DataError, ParameterError
from calibench.lab import evaluation, file_states
from calibench.lab.data.prediction_layout import Wanted
from calibench.lab.data.prediction_listing import files_among
from calibench.lab.evaluation import evaluate_files
from calibench.lab.file_states import Pass, states_of_files
from calibench.lab.further_passes import further_of_files
from calibench.predictions import Predictions

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((90, 3)).astype(np.float32)
LABELS = RNG.integers(3, size=90)
SITE = np.arange(90) % 2


@pytest.fixture
def folder(tmp_path):
    for part, rows in enumerate(np.array_split(np.arange(90), 3)):
        path = tmp_path / f"{part}.npz"
        np.savez(path, logits=LOGITS[rows], labels=LABELS[rows], site=SITE[rows])
    return tmp_path


@pytest.fixture
def few_in_memory(monkeypatch):
    monkeypatch.setattr(evaluation, "_MOST_ROWS", 10)


def of_rows(rows):
    return Predictions.from_logits(LOGITS[rows], LABELS[rows])


def test_few_examples_of_many_files_are_one_data_set_in_memory(folder):
    found = evaluate_files([folder], by="site")
    assert found.overall.to_dict() == metrics.evaluate(of_rows(slice(None))).to_dict()
    assert list(found.groups) == ["0", "1"]
    expected = metrics.evaluate(of_rows(SITE == 1)).to_dict()
    assert found.groups["1"].to_dict() == expected


def test_many_examples_pass_through_a_state(folder, few_in_memory):
    found = evaluate_files([f"{folder}/*.npz"], by="site")
    for some, rows in [(found.overall, slice(None)), (found.groups["0"], SITE == 0)]:
        expected = metrics.scalars(of_rows(rows))
        assert some.n == len(LABELS[rows])
        for name in ("top_label_ece", "classwise_ece", "debiased_l2", "nll"):
            assert some.measurements[name].value == expected[name]
    assert not evaluate_files([folder]).groups


def test_further_passes_find_what_memory_finds(folder, few_in_memory):
    rng, site = np.random.default_rng(1), np.arange(1200) % 2
    logits = 4 * rng.standard_normal((1200, 3))
    # Labels are drawn at T = 2.
    labels = (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    np.savez(folder / "0.npz", logits=logits, labels=labels, site=site)
    found = evaluate_files([folder / "0.npz"], by="site")
    for some, rows in [
        (found.overall, slice(None)),
        (found.groups["0"], site == 0),
        (found.groups["1"], site == 1),
    ]:
        expected = metrics.evaluate(Predictions.from_logits(logits[rows], labels[rows]))
        assert list(some.measurements) == list(expected.measurements)
        value = expected.temperature.value
        assert some.temperature.value == pytest.approx(value, rel=1e-10)
        for name in ("top_k_ece", "kth_class_ece"):
            there = expected.measurements[name].value
            assert some.measurements[name].value == there
        there = expected.measurements["nll_calibration"].value
        here = some.measurements["nll_calibration"].value
        assert here == pytest.approx(there, abs=2 / some.n)


def test_one_pass_finds_no_temperature(folder, few_in_memory, capsys):
    words = ["evaluate", str(folder), "--json"]
    cli.app([*words, "--one-pass"], standalone_mode=False)
    once = json.loads(capsys.readouterr().out)
    cli.app(words, standalone_mode=False)
    more = json.loads(capsys.readouterr().out)
    assert "further passes" in once["temperature"]["reason"]
    assert "top_k_ece" not in once["metrics"]
    # These logits tell nothing about the labels.
    assert "T = infinity" in more["temperature"]["reason"]
    assert (
        "T = infinity" in more["metrics"]["nll_calibration"]["definition"]["interval"]
    )
    same = [name for name in once["metrics"] if not name.endswith(("ment", "tion"))]
    assert [once["metrics"][n] for n in same] == [more["metrics"][n] for n in same]


def test_files_that_change_between_passes_are_refused(folder, few_in_memory):
    files, wanted = files_among([folder]), Wanted()
    states = {None: states_of_files(files, wanted)[""]}
    np.savez(folder / "0.npz", logits=LOGITS, labels=LABELS)
    with pytest.raises(DataError, match="changed while they were read"):
        further_of_files(files, wanted, states, Pass())


def test_order_of_files_and_parts_moves_no_bit(folder, few_in_memory):
    names = [folder / f"{part}.npz" for part in range(3)]
    there = evaluate_files(names).to_dict()
    assert evaluate_files(names[::-1]).to_dict() == there
    path = folder / "whole.npz"
    order = RNG.permutation(90)
    np.savez(path, logits=LOGITS[order], labels=LABELS[order])
    assert evaluate_files([path]).to_dict() == there


def test_impossible_bins_are_refused_before_the_pass_ends(folder, few_in_memory):
    (folder / "3.npz").write_bytes(b"damaged")
    with pytest.raises(ParameterError, match="num_bins 7 does not divide"):
        evaluate_files([folder], num_bins=7)


def test_too_many_groups_are_refused(folder, few_in_memory, monkeypatch):
    monkeypatch.setattr(file_states, "_MOST_STATE", 1)
    with pytest.raises(DataError, match="more than 1 groups, the last '1'"):
        evaluate_files([folder], by="site")


def test_the_command_prints_json_and_text(folder, capsys):
    cli.app(["evaluate", str(folder), "--by", "site", "--json"], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    assert printed["n"] == 90
    assert list(printed["groups"]) == ["0", "1"]
    assert printed["groups"]["1"]["n"] == 45
    assert {"value", "interval", "floor", "definition"} <= set(
        printed["metrics"]["top_label_ece"]
    )
    cli.app(["evaluate", str(folder), "--by", "site"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("group  n ") for line in lines)


def test_a_bad_file_among_many_ends_in_code_3(folder):
    (folder / "1.npz").write_bytes(b"damaged")
    done = subprocess.run(
        [sys.executable, "-m", "calibench", "evaluate", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "1.npz: not a readable .npz archive" in done.stderr

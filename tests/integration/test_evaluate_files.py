"""`calibench evaluate` on one file, on many, by group, in memory and in one pass."""

import json
import subprocess
import sys

import numpy as np
import pytest

from calibench import cli, metrics
from calibench.errors import DataError, ParameterError
from calibench.lab import evaluation, file_states
from calibench.lab.evaluation import evaluate_files
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


def test_many_examples_pass_once(folder, few_in_memory):
    found = evaluate_files([f"{folder}/*.npz"], by="site")
    for some, rows in [(found.overall, slice(None)), (found.groups["0"], SITE == 0)]:
        expected = metrics.scalars(of_rows(rows))
        assert some.n == len(LABELS[rows])
        for name in ("top_label_ece", "classwise_ece", "debiased_l2", "nll"):
            assert some.measurements[name].value == expected[name]
    assert "more than one pass" in found.overall.temperature.reason
    assert not evaluate_files([folder]).groups


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

"""The fuzzer of prediction files: a bounded run, and that it notices what it is for."""

import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from calibench.errors import DataError
from fuzzing import judge as judging
from fuzzing.case import Case, Examples
from fuzzing.cases import KINDS, case_of
from fuzzing.judge import judge
from shape_checks import without_shape_checks

TESTS = Path(__file__).parents[1]
EACH = 100
SOME = Examples("probs", np.array([[0.75, 0.25]]), np.array([0]))
CSV = b"label,prob_0,prob_1\n0,0.75,0.25\n"


def case(expected, content=CSV):
    return Case({"a.csv": content}, expected, "by hand", SOME)


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_read_or_refused_as_promised(kind, tmp_path, capfd):
    outcomes = []
    with without_shape_checks(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(EACH):
            given = case_of(kind, number)
            found = judge(given, tmp_path, whole=number == 0)
            assert not found.finding, (number, given.change, found.finding)
            outcomes.append(found.outcome)
    # Neither all good nor all bad, or it would prove nothing.
    assert 5 <= outcomes.count("read") <= EACH - 20
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_is_a_function_of_its_number(kind):
    for number in (0, 1, 2, 3):
        one, other = case_of(kind, number), case_of(kind, number)
        assert (one.files, one.change) == (other.files, other.change)
    assert case_of(kind, 0, seed=1).files != case_of(kind, 0).files


def test_a_traceback_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "stream_predictions", lambda _, **__: 1 / 0)
    found = judge(case("any"), tmp_path, whole=False)
    assert (found.outcome, found.finding[:17]) == ("exception", "ZeroDivisionError")


def test_a_hang_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "SECONDS", 0.05)
    monkeypatch.setattr(judging, "stream_predictions", lambda _, **__: time.sleep(5))
    found = judge(case("any"), tmp_path, whole=False)
    assert found.outcome == "hang"
    assert found.seconds < 1


def test_a_warning_is_a_finding(tmp_path, monkeypatch):
    def warn(*_, **__):
        warnings.warn("odd", stacklevel=1)

    monkeypatch.setattr(judging, "stream_predictions", warn)
    assert judge(case("any"), tmp_path, whole=False).finding == "UserWarning: odd"


def test_a_file_that_is_read_and_must_not_be_is_a_finding(tmp_path):
    assert "must be refused" in judge(case("refused"), tmp_path, whole=False).finding


def test_other_numbers_than_went_in_are_a_finding(tmp_path):
    changed = CSV.replace(b"0.75,0.25", b"0.25,0.75")
    for expected in ("same", "refused or same"):
        found = judge(case(expected, changed), tmp_path, whole=False)
        assert found.finding == "read other numbers than went in"
        assert judge(case(expected), tmp_path, whole=False).finding == ""


def test_a_refusal_of_a_valid_file_is_a_finding(tmp_path):
    found = judge(case("same", CSV[:-1]), tmp_path, whole=False)
    assert found.outcome == "refused"
    assert "refused a valid file" in found.finding


@pytest.mark.parametrize(
    ("message", "finding"), [("no name", "names no file"), ("x" * 6000, "6,0")]
)
def test_a_message_that_helps_nobody_is_a_finding(
    message, finding, tmp_path, monkeypatch
):
    def refuse(paths, **_):
        before = f"{paths[0]}: " if len(message) > 100 else ""
        raise DataError(before + message)

    monkeypatch.setattr(judging, "stream_predictions", refuse)
    assert finding in judge(case("any"), tmp_path, whole=False).finding


def test_the_command_sums_up(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fuzzing", "--kinds", "csv", "--files", "30"],
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS,
    )
    assert done.returncode == 0, done.stderr
    assert "| csv | 30 | " in done.stdout

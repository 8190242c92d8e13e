"""`calibench evaluate A --against B`."""

import json

import numpy as np
import pytest

from calibench import cli, metrics
from calibench.errors import DataError, ParameterError
from calibench.lab.comparison import compare_files
from calibench.predictions import Predictions

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((60, 3))
LABELS = RNG.integers(3, size=60)


@pytest.fixture
def files(tmp_path):
    np.savez(tmp_path / "a.npz", logits=LOGITS, labels=LABELS)
    for part, rows in enumerate(np.array_split(np.arange(60), 2)):
        np.savez(
            tmp_path / f"b{part}.npz", logits=3 * LOGITS[rows], labels=LABELS[rows]
        )
    return str(tmp_path / "a.npz"), str(tmp_path / "b*.npz")


def evaluate(*words):
    cli.app(["evaluate", *words], standalone_mode=False)


def test_json_is_the_comparison(files, capsys):
    first, second = files
    evaluate(first, "--against", second, "--bins", "7", "--json")
    expected = metrics.compare(
        Predictions.from_logits(LOGITS, LABELS),
        Predictions.from_logits(3 * LOGITS, LABELS),
        num_bins=7,
    )
    assert json.loads(capsys.readouterr().out) == {
        "first": first,
        "second": second,
        **expected.to_dict(),
    }


def test_text_has_the_verdict_the_files_and_a_line_for_each_number(files, capsys):
    first, second = files
    evaluate(first, "--against", second)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == compare_files([first], second).comparison.verdict
    assert [line.split()[0] for line in lines[2:5]] == ["set", "first", "second"]
    assert "60 examples of 3 classes; change: second minus first" in lines
    table = {line.split()[0]: line.split()[1:] for line in lines[8:]}
    nll = metrics.compare(
        Predictions.from_logits(LOGITS, LABELS),
        Predictions.from_logits(3 * LOGITS, LABELS),
    ).differences["nll"]
    numbers = [nll.first, nll.second, nll.value, *nll.interval]
    assert table["nll"] == [*(f"{n:.4f}" for n in numbers), f"{nll.p_value:.2g}"]
    assert table["accuracy"][-1] == "1"


def test_a_p_value_too_small_for_a_float_is_not_called_zero(tmp_path, capsys):
    # 2 / 2**1100 is below the least float.
    labels = np.arange(1100) % 2
    right = np.eye(2)[labels] * 0.8 + 0.1
    np.savez(tmp_path / "right.npz", probs=right, labels=labels)
    np.savez(tmp_path / "wrong.npz", probs=1 - right, labels=labels)
    evaluate(str(tmp_path / "right.npz"), "--against", str(tmp_path / "wrong.npz"))
    assert "-1.0000" in (text := capsys.readouterr().out)
    assert "< 1e-300" in text


def test_other_examples_and_groups_are_refused(files, tmp_path):
    np.savez(tmp_path / "c.npz", logits=LOGITS, labels=(LABELS + 1) % 3)
    with pytest.raises(DataError, match="first at row 0"):
        evaluate(files[0], "--against", str(tmp_path / "c.npz"))
    with pytest.raises(DataError, match=r"60 examples, the second 30"):
        evaluate(files[0], "--against", str(tmp_path / "b0.npz"))
    with pytest.raises(ParameterError, match="do not go together"):
        evaluate(files[0], "--against", files[1], "--by", "site")

"""`calibench evaluate FILE --truth FILE`."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibench import cli, metrics
from calibench.errors import DataError, ParameterError
from calibench.lab import evaluation
from calibench.lab.evaluation import evaluate_files
from calibench.lab.evaluation_request import Request
from calibench.predictions import Predictions

DATA = Path(__file__).parents[3] / "shared" / "data"
RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((60, 3))
LABELS = RNG.integers(3, size=60)
COUNTS = RNG.integers(1, 9, size=(60, 3))


@pytest.fixture
def files(tmp_path):
    np.savez(tmp_path / "a.npz", logits=LOGITS, labels=LABELS)
    np.save(tmp_path / "counts.npy", COUNTS)
    return str(tmp_path / "a.npz"), str(tmp_path / "counts.npy")


def evaluate(*words):
    cli.app(["evaluate", *words], standalone_mode=False)


def test_json_has_both(files, capsys):
    predictions, truth = files
    evaluate(predictions, "--truth", truth, "--bins", "5", "--json")
    printed = json.loads(capsys.readouterr().out)
    some = Predictions.from_logits(LOGITS, LABELS)
    known = metrics.Truth.from_counts(COUNTS)
    expected = metrics.evaluate_truth(some, known, num_bins=5)
    assert printed.pop("truth") == expected.to_dict()
    assert printed == evaluate_files([predictions], num_bins=5).to_dict()


def test_text_has_both(files, capsys):
    evaluate(files[0], "--truth", files[1])
    lines = capsys.readouterr().out.splitlines()
    head = f"against counts, of at least {COUNTS.sum(axis=1).min()} judges an example"
    block = lines[lines.index(head) :]
    assert [line.split()[0] for line in block[2:4]] == [
        "top_label_ece",
        "true_calibration_error",
    ]
    assert "Are its rows those of the predictions" in block[-1]


def test_many_examples_may_have_a_truth(files, monkeypatch):
    monkeypatch.setattr(evaluation, "_MOST_ROWS", 10)
    request = Request(truth=files[1])
    found = evaluation.evaluate_as_asked([files[0]], request)
    # It went through a state.
    assert "from cells" in found.overall.measurements["smooth_ece"].definition.edges
    assert found.truth.n == 60


def test_other_examples_are_refused(files, tmp_path):
    np.save(tmp_path / "posterior.npy", np.full((59, 3), 1 / 3))
    with pytest.raises(DataError, match="59 rows, but there are 60 predictions"):
        evaluate(files[0], "--truth", str(tmp_path / "posterior.npy"))
    np.save(tmp_path / "posterior.npy", np.full((60, 2), 1 / 2))
    with pytest.raises(DataError, match=r"\(60, 2\), the predictions \(60, 3\)"):
        evaluate(files[0], "--truth", str(tmp_path / "posterior.npy"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--truth", "t.npz", "--by", "site"], "--by and --truth do not go together"),
        (["--truth", "t.npz", "--against", "b.npz"], "Measure each against the truth"),
        (["--truth-kind", "counts"], "says what --truth holds, which was not given"),
    ],
)
def test_options_that_exclude_each_other(files, words, message):
    with pytest.raises(ParameterError, match=message):
        evaluate(files[0], *words)


@pytest.mark.parametrize(
    ("name", "error", "squared", "loss"),
    [
        ("cifar10_lenet5_netcal.npz", 0.380061, 0.553364, 1.430455),
        ("cifar10_wrn16-4_netcal.npz", 0.109255, 0.127118, 0.773559),
    ],
)
def test_human_counts_of_real_images(name, error, squared, loss, capsys):
    predictions = DATA / "predictions" / name
    counts = DATA / "cifar10h" / "cifar10h-counts.npy"
    if not (predictions.exists() and counts.exists()):
        pytest.skip(f"{name} or CIFAR-10H is not beside this checkout")
    evaluate(str(predictions), "--truth", str(counts), "--json")
    found = json.loads(capsys.readouterr().out)["truth"]
    assert (found["label_agreement"], found["fewest_counts"]) == (0.9921, 47)
    values = {key: each["value"] for key, each in found["metrics"].items()}
    assert round(values["true_calibration_error"], 6) == error
    assert round(values["true_canonical_l2_squared"], 6) == squared
    assert round(values["soft_label_nll"], 6) == loss

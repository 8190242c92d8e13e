"""Calibrators are kept to the bit, and nothing else is read as one."""

import json

import numpy as np
import pytest

from calibench import posthoc
from calibench.errors import DataError
from calibench.posthoc import CALIBRATORS, FittingSet, Temperature
from calibench.predictions import Predictions
from calibrator_settings import SETTINGS_OF


def some_predictions(split="calibration"):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(60, 3))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return Predictions.from_logits(logits, labels, split=split)


def written(method):
    return posthoc.fit(some_predictions(), method, SETTINGS_OF.get(method))


@pytest.mark.parametrize("method", CALIBRATORS)
def test_a_round_trip_keeps_every_bit(method, tmp_path):
    one = written(method)
    posthoc.save(one, tmp_path / "cal.json")
    two = posthoc.load(tmp_path / "cal.json")
    assert type(two) is type(one) is CALIBRATORS[method]
    assert two.method == method
    assert two.fitted_on == one.fitted_on
    assert two.to_dict() == one.to_dict()
    logits = np.random.default_rng(1).normal(size=(9, 3))
    assert two(logits).tobytes() == one(logits).tobytes()
    posthoc.save(two, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (
        tmp_path / "cal.json"
    ).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.json", "cal.json"]


def test_what_is_written(tmp_path):
    posthoc.save(Temperature(1.5), tmp_path / "cal.json")
    assert json.loads((tmp_path / "cal.json").read_text()) == {
        "format": "calibench calibrator 1",
        "method": "temperature",
        "parameters": {"value": 1.5},
        "fitted_on": None,
    }


def test_a_calibrator_given_by_hand_remembers_nothing(tmp_path):
    posthoc.save(Temperature(1.5), tmp_path / "cal.json")
    some = some_predictions()
    assert posthoc.load(tmp_path / "cal.json").apply(some).num_examples == 60


GOOD = {
    "format": "calibench calibrator 1",
    "method": "vector_scaling",
    "parameters": {"weights": [1.0, 2.0], "intercepts": [0.5, -0.5]},
    "fitted_on": {"split": "calibration", "num_examples": 3, "digest": "0" * 64},
}


def changed(**changes):
    return json.dumps(GOOD | changes)


def parameters(**changes):
    return changed(parameters=GOOD["parameters"] | changes)


def origin(**changes):
    return changed(fitted_on=GOOD["fitted_on"] | changes)


def of(method, **values):
    return changed(method=method, parameters=values)


def test_the_good_file_is_read(tmp_path):
    path = tmp_path / "cal.json"
    path.write_text(json.dumps(GOOD))
    assert posthoc.load(path).to_dict() == {
        key: value for key, value in GOOD.items() if key != "format"
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no readable JSON"),
        ("{", "no readable JSON"),
        ("[]", "is no calibrator"),
        ("null", "is no calibrator"),
        ("[" * 100_000, "no readable JSON"),
        (b"\xff\xfe{}", "no readable JSON"),
        (changed(format="calibench calibrator 2"), "is no calibrator"),
        (changed(method="temprature"), "Did you mean 'temperature'"),
        (changed(method=["temperature"]), "method must be a name"),
        (changed(extra=1), "unknown 'extra'"),
        (json.dumps({k: GOOD[k] for k in GOOD if k != "fitted_on"}), "no 'fitted_on'"),
        (changed(parameters=[1.0]), "parameters must be a table"),
        (parameters(extra=1), "unknown 'extra'"),
        (changed(parameters={"weights": [1.0]}), "no 'intercepts'"),
        (parameters(weights=[1.0, 2.0, 3.0]), r"intercepts must have shape \(3,\)"),
        (parameters(weights=1.0), "weights must be a list"),
        (parameters(weights=["1", "2"]), "weights must be a number"),
        (parameters(weights=[True, 2.0]), "weights must be a number"),
        (parameters(weights=[None, 2.0]), "weights must be a number"),
        (parameters(weights=[[1.0], 2.0]), "weights must be a number"),
        (parameters(weights=[float("nan"), 2.0]), "NaN is not a number"),
        (parameters(weights=[float("inf"), 2.0]), "Infinity is not a number"),
        (changed().replace("2.0", "1e999"), "weights must be finite"),
        (changed().replace("2.0", "9" * 400), "weights must be finite"),
        (changed().replace("2.0", "9" * 9000), "no readable JSON"),
        (changed().replace('"method"', '"method": "temperature", "method"'), "repeats"),
        (origin(split="validation"), "unknown split"),
        (origin(split=3), "split is no name"),
        (origin(num_examples=0), "at least 1"),
        (origin(num_examples=True), "at least 1"),
        (origin(digest="0" * 63), "no SHA-256"),
        (origin(digest=0), "no SHA-256"),
        (origin(extra=0), "fitted_on must hold"),
        (changed(fitted_on="calibration"), "fitted_on must hold"),
        (of("temperature", value=0.0), "above 0"),
        (of("temperature", value=-1), "above 0"),
        (of("matrix_scaling", weights=[[1.0, 0.0]], intercepts=[0.0]), "shape"),
        (of("matrix_scaling", weights=[[1.0], [1.0, 2.0]], intercepts=[0.0]), "length"),
        (of("matrix_scaling", weights=[], intercepts=[]), "list of lists"),
        (of("dirichlet", weights=[[1.0, 0.0]], intercepts=[0.0]), "shape"),
        (of("histogram_binning", frequencies=[[0.5]], top_label=False), "one row for"),
        (of("histogram_binning", frequencies=[[1.5]], top_label=True), r"in \[0, 1\]"),
        (of("histogram_binning", frequencies=[[0.5]], top_label=1), "true or false"),
        (of("histogram_binning", frequencies=[[]], top_label=True), "must have bins"),
        (of("isotonic", x=[[0.0]], y=[[0.5]]), "at least 2 functions"),
        (of("isotonic", x=[[0.0], [0.0]], y=[[0.5], [0.5, 1.0]]), "as many x as y"),
        (of("isotonic", x=[[0.5, 0.5], [0.0]], y=[[0.5, 1.0], [0.5]]), "must ascend"),
        (of("isotonic", x=[[0.1, 0.5], [0.0]], y=[[1.0, 0.5], [0.5]]), "must not fall"),
        (of("isotonic", x=0, y=0), "list of lists"),
        (of("order_preserving_isotonic", x=[[0.0]], y=[[2.0]]), r"in \[0, 1\]"),
        (of("order_preserving_isotonic", x=[[0.0]] * 2, y=[[1.0]] * 2), "one function"),
        (of("focal_link", gamma=-1, temperature=1.0, detached=False), "at least 0"),
        (of("focal_link", gamma=1, temperature=0.0, detached=False), "above 0"),
        (of("focal_link", gamma=1, temperature=1.0, detached=0), "true or false"),
    ],
)
def test_other_files_are_refused_by_name(text, reason, tmp_path):
    path = tmp_path / "cal.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=reason) as caught:
        posthoc.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 600


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        posthoc.load(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a folder"):
        posthoc.load(tmp_path)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "cal.json"
    with path.open("wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(DataError, match="larger than"):
        posthoc.load(path)


def test_the_hash_of_the_rows():
    some = some_predictions()
    of_rows = FittingSet.of(some, "temperature").digest
    minus_zero = Predictions.from_probs([[1.0, 0.0], [1.0, -0.0]], [0, 0])
    zero = Predictions.from_probs([[1.0, 0.0], [1.0, 0.0]], [0, 0])
    others = [
        Predictions.from_logits(some.logits, (some.labels + 1) % 3),
        Predictions.from_logits(np.nextafter(some.logits, 9), some.labels),
        Predictions.from_probs(some.probs, some.labels),
    ]
    assert all(FittingSet.of(each, "").digest != of_rows for each in others)
    assert FittingSet.of(zero, "").digest == FittingSet.of(minus_zero, "").digest

"""`calibench definitions`: every library's number beside ours, in words and as JSON."""

import builtins
import math
import re

import numpy as np
import pytest

from calibench.lab import definitions
from calibench.lab.definitions import define_files
from calibench.metrics.presets import OURS, PRESETS
from calibench.predictions import Predictions
from command_line import calibench

LIBRARIES = {"torchmetrics", "netcal", "calibration", "relplot", "mapie", "sklearn"}


def saved(path, probs, labels):
    np.savez(path, probs=probs, labels=labels)
    return path


@pytest.fixture
def three_classes(tmp_path):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3) / 3, 400)
    probs[:40] = [1, 0, 0]
    return saved(tmp_path / "three.npz", probs, rng.integers(3, size=400))


@pytest.fixture
def two_classes(tmp_path):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(2), 400)
    return saved(tmp_path / "two.npz", probs, rng.integers(2, size=400))


def test_every_preset_and_our_numbers_are_there(three_classes):
    done = calibench("definitions", three_classes, "--bins", 10, "--json")
    assert done.code == 0, done.err
    found = done.json
    assert (found["n"], found["num_classes"], found["num_bins"]) == (400, 3, 10)
    assert found["presets"].keys() == PRESETS.keys()
    with np.load(three_classes) as archive:
        some = Predictions.from_probs(archive["probs"], archive["labels"])
    for name, each in found["presets"].items():
        assert each["ours"] in found["ours"] or each["value"] is None
        if each["value"] is None:
            assert (
                "two classes only" in each["reason"] or "edges equal" in each["reason"]
            )
            continue
        assert each["reason"] is None
        assert each["value"] == PRESETS[name](some, num_bins=10)
        ours = found["ours"][each["ours"]]
        if ours["value"] is not None:
            assert each["difference"] == each["value"] - ours["value"]
        assert each["definition"]["quantity"]
        assert each["differs"] == PRESETS[name].differs
    for name, each in found["ours"].items():
        value = OURS[name](some, 10)
        assert each["value"] == (value if math.isfinite(value) else None)
    assert found["presets"]["torchmetrics_l1"]["definition"]["extra_bin"]


def test_the_text_is_sorted_and_fits(three_classes):
    done = calibench("definitions", three_classes)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert done.out.startswith(
        "400 predictions of 3 classes. Each library is asked for"
    )
    assert PRESETS.keys() <= set(re.findall(r"\w+", done.out))
    blocks = done.out.split("\n\n")[1:-1]
    for block in blocks:
        named = [
            line.split()[0]
            for line in block.splitlines()[1:]
            if line.startswith("  ") and line[2] != " "
        ]
        assert named == sorted(named)
        assert named
    assert done.out.count("BUG: ") == sum(
        each.fault is not None for name, each in PRESETS.items() if "binary" not in name
    )
    # Every certain one of ours is one of theirs: what is equal is said to be.
    assert any("  equal  " in line for line in lines if "verified_cal" in line)


def test_two_classes_have_numbers_of_class_1(two_classes):
    found = calibench("definitions", two_classes, "--json").json
    each = found["presets"]["torchmetrics_binary_l2"]
    assert each["ours"] == "class_1_rms_calibration_error"
    assert abs(each["difference"]) < 1e-6
    assert found["presets"]["netcal_ece"]["ours"] == "class_1_top_label_ece"
    missing = {n for n, each in found["presets"].items() if each["value"] is None}
    assert missing == set()
    assert "no number" not in calibench("definitions", two_classes).out


def test_no_library_is_imported(two_classes, monkeypatch):
    real = builtins.__import__

    def guarded(name, *rest):
        assert name.partition(".")[0] not in LIBRARIES, name
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", guarded)
    assert define_files([two_classes]).found


def test_infinities_are_null(tmp_path):
    path = saved(tmp_path / "sure.npz", [[1.0, 0.0], [1.0, 0.0]], [0, 1])
    done = calibench("definitions", path, "--json")
    assert done.json["ours"]["nll"]["value"] is None
    assert done.json["presets"]["sklearn_log_loss"]["difference"] is None
    assert "nll = inf" in calibench("definitions", path).out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--bins", 0], 2, "num_bins must be at least 1, got 0"),
        (["--kind", "logist"], 2, "Did you mean 'logits'?"),
        (["--kind", "logits"], 3, "no logits among"),
    ],
)
def test_requests_that_are_wrong(two_classes, options, code, message):
    done = calibench("definitions", two_classes, *options)
    assert done.code == code
    assert message in done.err
    assert done.out == ""


def test_too_many_numbers_are_refused(two_classes, monkeypatch):
    monkeypatch.setattr(definitions, "_MOST_NUMBERS", 799)
    done = calibench("definitions", two_classes)
    assert done.code == 2
    assert "more than 799 numbers" in done.err
    assert "`calibench evaluate`" in done.err
    monkeypatch.setattr(definitions, "_MOST_NUMBERS", 800)
    assert calibench("definitions", two_classes).code == 0

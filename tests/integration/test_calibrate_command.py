"""`calibench calibrate fit` and `apply`, from file to file."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from calibench.cli import app, main
from calibench.errors import ParameterError
from calibench.lab.data.prediction_files import read_predictions
from calibench.lab.data.prediction_writer import write_predictions
from calibench.metrics import nll
from calibench.posthoc import CALIBRATORS, Temperature
from calibench.predictions import Predictions
from calibrator_settings import SETTINGS_OF


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("held_out", "test"):
        logits = 3 * rng.normal(size=(200, 3))
        labels = (logits / 3 + rng.gumbel(size=logits.shape)).argmax(axis=1)
        some = Predictions.from_logits(logits, labels)
        write_predictions(some, tmp_path / f"{name}.npz")
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["calibrate", *map(str, words)])


def failing(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        main(["calibrate", *map(str, words)])
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return caught.value.code, said.err


def test_fit_then_apply(files):
    cal, out = files / "cal.json", files / "out.npz"
    done = run("fit", files / "held_out.npz", "--method", "temperature", "--out", cal)
    assert done.exit_code == 0
    assert done.stdout.startswith("temperature: 200 examples, NLL ")
    done = run("apply", cal, files / "test.npz", "--out", out, "--json")
    facts = json.loads(done.stdout)
    before, after = read_predictions(files / "test.npz"), read_predictions(out)
    held_out = read_predictions(files / "held_out.npz")
    expected = Temperature.fit(held_out).apply(before)
    assert after.values.tobytes() == expected.values.tobytes()
    assert after.labels.tolist() == before.labels.tolist()
    assert facts == {
        "method": "temperature",
        "n": 200,
        "num_classes": 3,
        "kind": "logits",
        "nll_before": nll(before),
        "nll_after": nll(after),
    }


@pytest.mark.parametrize("suffix", ["npz", "csv"])
@pytest.mark.parametrize("method", ["temperature", "matrix_scaling", "isotonic"])
def test_a_weight_repeats_a_row(method, suffix, files):
    some = read_predictions(files / "held_out.npz")
    count = np.random.default_rng(1).integers(0, 4, size=200)
    path = files / f"counted.{suffix}"
    if suffix == "npz":
        np.savez(path, logits=some.values, labels=some.labels, count=count)
    else:
        columns = np.column_stack([some.labels, count, some.values])
        header = "label,count,logit_0,logit_1,logit_2"
        np.savetxt(path, columns, "%.17g", ",", header=header, comments="")
    write_predictions(some.rows(np.repeat(np.arange(200), count)), files / "rows.npz")
    words = ["--method", method, "--json", "--out"]
    once = run("fit", path, *words, files / "one.json", "--weights", "count")
    assert once.exit_code == 0, once.output
    again = run("fit", files / "rows.npz", *words, files / "two.json")
    one, two = json.loads(once.stdout), json.loads(again.stdout)
    assert one.pop("total_weight") == two["n"] == count.sum()
    assert (one["n"], one["method"]) == (200, method)
    for name in ("nll_before", "nll_after"):
        assert one[name] == pytest.approx(two[name], rel=1e-9)
    apply = ["apply", files / "one.json", files / "test.npz", "--out"]
    assert run(*apply, files / "a.npz").exit_code == 0
    apply[1] = files / "two.json"
    assert run(*apply, files / "b.npz").exit_code == 0
    after = [read_predictions(files / f"{name}.npz").values for name in "ab"]
    assert after[0] == pytest.approx(after[1], abs=1e-6)


def test_weights_that_are_refused(files, capsys):
    some = read_predictions(files / "held_out.npz")
    path = files / "counted.npz"
    np.savez(path, logits=some.values, labels=some.labels, count=np.zeros(200))
    words = ["fit", path, "--method", "temperature", "--out", files / "cal.json"]
    code, said = failing(capsys, *words, "--weights", "count")
    assert code == 3
    assert "counted.npz: weights are all 0" in said
    code, said = failing(capsys, *words, "--weights", "often")
    assert code == 3
    assert "often" in said
    assert not (files / "cal.json").exists()


@pytest.mark.parametrize("method", CALIBRATORS)
def test_every_method_from_csv_to_csv(method, files):
    held_out = files / "held_out.csv"
    write_predictions(read_predictions(files / "held_out.npz"), held_out)
    settings = [f"{key}={value}" for key, value in SETTINGS_OF.get(method, {}).items()]
    extra = [word for each in settings for word in ("--set", each)]
    cal, out = files / "cal.json", files / "out.csv"
    words = ["fit", held_out, "--method", method, "--out", cal, "--json"]
    done = run(*words, *extra)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["method"] == method
    done = run("apply", cal, files / "test.npz", "--out", out, "--json")
    assert done.exit_code == 0, done.output
    after = read_predictions(out)
    assert json.loads(done.stdout)["kind"] == after.kind
    of_probs = CALIBRATORS[method].gives_probs
    assert after.kind == ("probs" if of_probs else "logits")


def test_the_rows_of_the_fit_are_refused(files, capsys):
    cal, out = files / "cal.json", files / "out.npz"
    run("fit", files / "held_out.npz", "--method", "temperature", "--out", cal)
    words = ["apply", cal, files / "held_out.npz", "--out", out]
    code, said = failing(capsys, *words)
    assert code == 2
    assert "--in-sample" in said
    assert not out.exists()
    assert run(*words, "--in-sample").exit_code == 0
    assert out.exists()


@pytest.mark.parametrize(
    ("method", "extra", "code", "reason"),
    [
        ("temprature", [], 2, "Did you mean 'temperature'?"),
        ("focal_link", [], 2, "needs a value for gamma (--set gamma=...)"),
        ("focal_link", ["--set", "gamma"], 2, "give NAME=VALUE"),
        (
            "focal_link",
            ["--set", "gamma=three"],
            2,
            "gamma must be a number, got 'three'",
        ),
        ("temperature", ["--set", "gamma=3"], 2, "temperature has no settings"),
        ("temperature", ["--kind", "probs"], 3, "no probs among"),
    ],
)
def test_a_fit_that_is_refused_writes_nothing(
    files, capsys, method, extra, code, reason
):
    cal = files / "cal.json"
    words = ["fit", files / "held_out.npz", "--method", method, "--out", cal, *extra]
    got, said = failing(capsys, *words)
    assert (got, reason in said) == (code, True), said
    assert not cal.exists()


def test_data_without_optimum_end_in_3(tmp_path, capsys):
    some = Predictions.from_logits([[1.0, 0.0], [0.0, 3.0]], [0, 1])
    write_predictions(some, tmp_path / "some.csv")
    for method in ("temperature", "vector_scaling"):
        words = ["fit", tmp_path / "some.csv", "--method", method, "--out", "cal.json"]
        code, said = failing(capsys, *words)
        assert code == 3
        assert "no finite optimum" in said


def test_other_calibrators_and_suffixes_are_refused(files, capsys):
    cal = files / "cal.json"
    cal.write_text("{}")
    words = ["apply", cal, files / "test.npz", "--out"]
    code, said = failing(capsys, *words, files / "out.npz")
    assert (code, "is no calibrator" in said) == (3, True)
    code, said = failing(capsys, *words, files / "out.orc")
    assert (code, "cannot write '.orc'" in said) == (2, True)
    code, said = failing(
        capsys, *words[:1], files / "none", *words[2:], files / "o.npz"
    )
    assert (code, "does not exist" in said) == (3, True)


def test_a_folder_that_is_not_there_ends_in_4(files, capsys):
    words = ["fit", files / "held_out.npz", "--method", "temperature", "--out"]
    code, said = failing(capsys, *words, files / "none" / "cal.json")
    assert (code, "No such file" in said) == (4, True)


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_what_is_written_is_read_back_to_the_bit(tmp_path, suffix, kind):
    rng = np.random.default_rng(0)
    some = Predictions.from_logits(1e3 * rng.normal(size=(50, 4)), [0, 1, 2, 3, 0] * 10)
    if kind == "probs":
        some = Predictions.from_probs(some.probs, some.labels)
    path = tmp_path / f"some{suffix}"
    write_predictions(some, path)
    first = path.read_bytes()
    again = read_predictions(path)
    assert again.kind == kind
    assert again.values.tobytes() == some.values.tobytes()
    assert again.labels.tolist() == some.labels.tolist()
    write_predictions(again, path)
    assert path.read_bytes() == first
    with pytest.raises(ParameterError, match="cannot write 'no suffix'"):
        write_predictions(some, tmp_path / "some")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]

"""Every command on a finished study: data on stdout, talk on stderr, exit code 0."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from calibench.lab.store import Store
from command_line import TINY, calibench, copied, results, study_file


def test_plan_lists_the_runs_and_starts_nothing(tmp_path):
    study = study_file(tmp_path)
    done = calibench("plan", study)
    assert done.code == 0
    assert done.err == ""
    assert "tiny: 2 runs of 3 epochs" in done.out
    plan = calibench("plan", study, "--json").json
    assert [run["loss"] for run in plan["runs"]] == ["cross_entropy", "focal-gamma2"]
    assert all(run["run_id"] in done.out for run in plan["runs"])
    assert plan["core_minutes"] == sum(run["core_minutes"] for run in plan["runs"]) > 0
    assert list(tmp_path.iterdir()) == [study]


def test_run_talks_on_stderr_and_once_done_starts_nothing(tiny_store, tmp_path):
    store = copied(tiny_store, tmp_path / "store")
    before = results(store.path)
    done = calibench("run", study_file(tmp_path), "--store", store.path)
    assert (done.code, done.out) == (0, "")
    assert done.err == "2 of 2 runs are done.\n"
    assert results(store.path) == before


def test_run_says_what_happens(tmp_path):
    toml = TINY.replace("epochs = 3", "epochs = 1")
    done = calibench("run", study_file(tmp_path, toml), "--store", tmp_path / "store")
    assert (done.code, done.out) == (0, "")
    lines = done.err.splitlines()
    ids = [
        run["run_id"] for run in calibench("status", tmp_path / "store", "--json").json
    ]
    for run_id in ids:
        told = [line.removeprefix(f"{run_id}: ") for line in lines if run_id in line]
        assert told == ["started", "epoch 1 of 1", "finished"]
    assert len(lines) == 6


def test_a_study_may_grow(tiny_store, tmp_path):
    store = copied(tiny_store, tmp_path / "store")
    before = results(store.path)
    toml = TINY + '[[loss]]\nkind = "entropy"\nalpha = 0.3\n'
    done = calibench("run", study_file(tmp_path, toml), "--store", store.path)
    assert done.code == 0
    assert "2 of 3 runs are done." in done.err
    after = results(store.path)
    assert {name: after[name] for name in before if name.startswith("runs/")} == {
        name: content for name, content in before.items() if name.startswith("runs/")
    }
    assert len(calibench("status", store.path, "--json").json) == 3


def test_status_is_a_row_for_each_run(tiny_store):
    rows = calibench("status", tiny_store, "--json").json
    assert [(row["state"], row["epoch"], row["of"]) for row in rows] == [
        ("finished", 3, 3)
    ] * 2
    assert all(0 <= row["test_error_rate"] <= 1 for row in rows)
    assert all(0 <= row["test_top_label_ece"] <= 1 for row in rows)
    done = calibench("status", tiny_store)
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == [
        "run_id",
        *(row["run_id"] for row in rows),
    ]


def test_status_of_a_study_that_has_not_begun(tiny_store, tmp_path):
    store = copied(tiny_store, tmp_path / "store")
    for folder in store.runs():
        folder.journal.path.unlink()
    for row in calibench("status", store.path, "--json").json:
        assert (row["state"], row["epoch"]) == ("waiting", 0)
        assert row["test_error_rate"] is None


def test_claims_are_judged_and_never_fail(tiny_store):
    done = calibench("claims", tiny_store)
    assert (done.code, done.err) == (0, "")
    assert "C3: not applicable: the study has no L1 norm" in done.out
    found = calibench("claims", tiny_store, "--json").json
    assert [claim["name"] for claim in found["claims"]] == [
        *("C1", "C2", "C3", "C4"),
        *("T1", "T2"),
    ]
    assert all(claim["statement"] in done.out for claim in found["claims"])
    (focal,) = found["claims"][3]["hypotheses"]
    assert (focal["model"], focal["loss"], focal["num_examples"]) == (
        "vgg16",
        "focal-gamma2",
        60,
    )


def test_a_claim_of_the_study_file_is_judged_without_training(tiny_store, tmp_path):
    store = copied(tiny_store, tmp_path / "store")
    toml = TINY + (
        '[[claim]]\nname = "mine"\nmetric = "nll"\n'
        'lower = "focal-gamma2"\nthan = "cross_entropy"\n'
    )
    done = calibench("run", study_file(tmp_path, toml), "--store", store.path)
    assert done.err == "2 of 2 runs are done.\n"
    assert (
        calibench("claims", store.path, "--json").json["claims"][-1]["name"] == "mine"
    )


def test_report_prints_the_table_and_says_what_it_wrote(tiny_store, tmp_path):
    page = tmp_path / "page.html"
    done = calibench("report", tiny_store, "--out", page)
    assert done.code == 0
    assert "focal" in done.out
    assert f"wrote {page}" in done.err
    assert page.read_text().startswith("<!doctype html>")
    again = calibench("report", tiny_store, "--out", page, "--json")
    assert again.json == json.loads((tmp_path / "page_files/table.json").read_text())


def test_verify_says_ok_to_what_it_checked(tiny_store):
    done = calibench("verify", tiny_store, "--replay", 0)
    assert (done.code, done.err) == (0, "")
    assert [line.split(": ")[1:] for line in done.out.splitlines()] == [
        ["hashes", "ok"]
    ] * 2
    checks = calibench("verify", tiny_store, "--replay", 9, "--json").json
    assert all(check["problems"] == [] for check in checks)
    # The first epoch and the last of each run can be trained again.
    assert sorted(check["what"] for check in checks[2:]) == [
        "epoch 1 trained again",
        "epoch 1 trained again",
        "epoch 3 trained again",
        "epoch 3 trained again",
    ]


def test_which_epochs_are_trained_again_is_drawn_by_the_seed(tiny_store):
    drawn = {
        seed: tuple(
            (check["run_id"], check["what"])
            for check in calibench("verify", tiny_store, "--json", "--seed", seed).json[
                2:
            ]
        )
        for seed in (0, 1, 2, 3, 0)
    }
    assert all(len(checks) == 1 for checks in drawn.values())
    assert len(set(drawn.values())) > 1


def test_theory_prints_margins_and_holds():
    rows = calibench("theory", "--json").json
    assert rows
    assert all(row["holds"] for row in rows)
    done = calibench("theory")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") > len(rows)


@pytest.fixture
def predictions(tiny_store, tmp_path):
    """The test predictions of a run's last epoch, as a file for `evaluate`."""
    columns = Store(tiny_store).runs()[0].predictions(3)
    chosen = columns["split"] == "test"
    path = tmp_path / "test.npz"
    logits = np.stack([columns[f"logit_{k}"][chosen] for k in range(3)], axis=1)
    np.savez(path, logits=logits, labels=columns["label"][chosen])
    return path


def test_evaluate_agrees_with_what_the_study_measured(predictions, tiny_store):
    done = calibench("evaluate", predictions, "--json")
    assert (done.code, done.err) == (0, "")
    found = done.json
    assert (found["n"], found["num_classes"]) == (60, 3)
    status = calibench("status", tiny_store, "--json").json[0]
    assert found["accuracy"] == pytest.approx(1 - status["test_error_rate"], abs=1e-12)
    ece = found["metrics"]["top_label_ece"]
    assert ece["value"] == status["test_top_label_ece"]
    assert set(ece) >= {"value", "interval", "floor", "definition"}
    assert set(found["metrics"]) >= {
        "top_label_ece",
        "top_label_ece_equal_mass",
        "classwise_ece",
        "max_calibration_error",
        "smooth_ece",
        "debiased_l2",
        "overconfidence",
        "underconfidence",
    }
    assert {"nll", "brier", "temperature", "verdict"} <= set(found)
    text = calibench("evaluate", predictions)
    assert (text.code, text.err) == (0, "")
    assert text.out.startswith(found["verdict"])


def test_bins_are_the_bins_of_the_metrics(predictions):
    few = calibench("evaluate", predictions, "--bins", 1, "--json").json
    gap = few["metrics"]["top_label_ece"]["value"]
    logits = np.load(predictions)["logits"].astype(float)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # In one bin ECE is |mean confidence - accuracy|.
    assert gap == pytest.approx(abs(probs.max(axis=1).mean() - few["accuracy"]))


def test_data_list_names_what_there_is(tmp_path):
    rows = calibench("data", "list", "--data", tmp_path, "--json").json
    assert {row["name"]: row["state"] for row in rows} == {
        "gratings": "embedded",
        "cifar10": "absent",
        "cifar100": "absent",
    }
    done = calibench("data", "list", "--data", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 4


# What `--help` and completion may not import: together it takes seconds.
HEAVY = {"torch", "matplotlib", "duckdb", "scipy", "numpy", "jinja2", "PIL"}
ASK_FOR_HELP = """
import contextlib, io, json, sys
from calibench.cli import main
codes = []
for command in {commands}:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main([*command.split(), "--help"])
        except SystemExit as exit_:
            codes.append(exit_.code or 0)
    assert "Usage" in out.getvalue()
print(json.dumps([codes, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
COMMANDS = ["", "run", "plan", "evaluate", "verify", "data", "data fetch", "calibrate"]


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )


def test_help_imports_nothing_heavy():
    code = ASK_FOR_HELP.replace("{commands}", repr(COMMANDS))
    codes, modules = json.loads(python("-c", code).stdout)
    assert codes == [0] * len(COMMANDS)
    assert not HEAVY & set(modules)


def test_completion_imports_nothing_heavy():
    code = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
sys.argv = ["calibench"]
from calibench.cli import main
main()
"""
    done = python(
        "-c",
        code,
        _CALIBENCH_COMPLETE="complete_bash",
        COMP_WORDS="calibench ver",
        COMP_CWORD="1",
    )
    assert done.stdout.split() == ["verify"]
    assert not HEAVY & {name.partition(".")[0] for name in done.stderr.split()}


def test_the_package_runs_as_a_module():
    done = python("-m", "calibench", "theory", "--json")
    assert json.loads(done.stdout) == calibench("theory", "--json").json
    assert done.stderr == ""

"""The examples of the pages run, and give what the pages say."""

import doctest
from importlib.metadata import version
from pathlib import Path

import numpy as np

from calibench.lab.store import EpochFiles, Store
from pages import DOCS, blocks, text


def run_blocks(name, **given):
    namespace = {"np": np, **given}
    for block in blocks(text(name), "python"):
        exec(block, namespace)  # noqa: S102 - our own pages
    return namespace


def test_the_example_of_models_runs():
    last = blocks(text("models.md"), "python")[0].splitlines()[-1]
    call, _, value = last.partition("#")
    assert eval(call, run_blocks("models.md")) == int(value)  # noqa: S307 - our own


def test_the_example_of_calibrators_runs():
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(200, 4))
    labels = (logits / 3 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    halves = {
        "held_out_logits": logits[:100],
        "held_out_labels": labels[:100],
        "test_logits": logits[100:],
        "test_labels": labels[100:],
    }
    assert run_blocks("posthoc.md", **halves)["temperature"].value > 1


def test_duckdb_opens_a_store_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = {"name": "figure1", "runs": ["some-run"]}
    store = Store.prepared(Path("runs/figure1"), study, "")
    run = store.run("some-run")
    columns = {
        "split": np.array(["selection", "test", "test"]),
        "example": np.arange(3, dtype=np.int32),
        "label": np.array([0, 1, 1], dtype=np.int32),
    }
    run.path.mkdir(parents=True, exist_ok=True)
    run.path.mkdir(parents=True, exist_ok=True)
    run.begin({}, columns)
    logits = {f"logit_{k}": np.float32([k, 1, 2]) for k in range(2)}
    row = {"epoch": 1, "split": "test", "error_rate": 0.5, "top_label_ece": 0.25}
    rows = [{**row, "calibrator": "none"}, {**row, "calibrator": "temperature"}]
    run.commit_epoch(1, EpochFiles(rows, columns | logits, b""))
    by_calibench, by_duckdb, *_ = blocks(text("store.md"), "python")
    names = {}
    exec(by_calibench, names)  # noqa: S102 - our own pages
    exec(by_duckdb, names)  # noqa: S102 - our own pages
    assert names["rows"] == rows
    assert names["logits"]["label"].tolist() == [0, 1, 1]
    assert names["ece"] == [("some-run", 1, 0.5, 0.25)]
    assert names["classes"] == [("selection", 0, 1, 0.0), ("test", 1, 2, 1.5)]


def test_the_methods_paragraph_names_this_version():
    assert f"calibench {version('calibench')} " in text("which-number.md")


def test_the_example_of_the_guide_runs_as_printed():
    result = doctest.testfile(str(DOCS / "which-number.md"), module_relative=False)
    assert result.attempted >= 10
    assert result.failed == 0

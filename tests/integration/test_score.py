"""Metrics are a function of the stored predictions, and are replaced as a whole."""

import json
import shutil
from itertools import count
from types import SimpleNamespace

import pytest

from calibench.errors import ResourceError
from calibench.lab.store import journal, lock, run_folder
from calibench.lab.study.rescore import rescore
from command_line import TINY, calibench, flip_a_bit, refused, study_file


def all_rows(store):
    return {folder.run_id: folder.all_rows() for folder in store.runs()}


def test_scores_come_out_the_same(store):
    before = all_rows(store)
    some = before[store.runs()[0].run_id]
    # train, selection, calibration, test, and test after three calibrators; 3 epochs
    assert len(some) == 3 * 7
    assert any("true_calibration_error" in row for row in some)
    rows = calibench("score", store.path, "--json").json
    assert rows == [{"run_id": run_id, "epochs": 3} for run_id in before]
    assert all_rows(store) == before
    for folder in store.runs():
        assert folder.verify() == []
        assert not (folder.path / "metrics").exists()
        assert folder.history().outcome == "finished"


def test_scores_can_be_asked_for_again_and_again(store):
    before = all_rows(store)
    for _ in range(3):
        assert calibench("score", store.path).code == 0
        assert all_rows(store) == before
    (folder, *_) = store.runs()
    assert [p.name for p in folder.path.glob("metrics*")] == ["metrics-4"]
    assert calibench("status", store.path, "--json").json[0]["state"] == "finished"


def test_old_metrics_do_not_come_back(store):
    """What is computed now replaces what an older version wrote."""
    folder = store.runs()[0]
    right = folder.all_rows()
    folder.commit_scores(
        {
            epoch: [row | {"nll": 123.0} for row in right if row["epoch"] == epoch]
            for epoch in (1, 2, 3)
        }
    )
    assert {row["nll"] for row in folder.all_rows()} == {123.0}
    rescore(folder)
    trained = [row for row in folder.all_rows() if row["split"] == "train"]
    # What only training knows stays as it was.
    assert {row["nll"] for row in trained} == {123.0}
    assert [row for row in folder.all_rows() if row["split"] != "train"] == [
        row for row in right if row["split"] != "train"
    ]


def test_epochs_without_logits_keep_their_metrics(tmp_path):
    toml = TINY.replace('models = ["vgg16"]', 'models = ["vgg16"]\nkeep = 2')
    assert (
        calibench("run", study_file(tmp_path, toml), "--store", tmp_path / "s").code
        == 0
    )
    rows = calibench("score", tmp_path / "s", "--json").json
    assert [row["epochs"] for row in rows] == [2, 2]  # of three, the 2nd and the last


@pytest.mark.parametrize("writes", range(5))
def test_a_failure_at_any_write_leaves_the_old_metrics_whole(
    store, monkeypatch, writes
):
    """Three files and a journal record: at each, the disk may turn out to be full."""
    folder = store.runs()[0]
    before, done = folder.all_rows(), []

    def full_after(real):
        def write(path, *content, **how):
            if len(done) == writes:
                message = f"{path}: No space left on device"
                raise ResourceError(message)
            done.append(path)
            return real(path, *content, **how)

        return write

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_bytes", full_after(run_folder.write_bytes))
        patch.setattr(journal, "append_line", full_after(journal.append_line))
        if writes < 4:
            with pytest.raises(ResourceError, match="No space left"):
                rescore(folder)
            assert folder.history().generation == 1
        else:
            rescore(folder)
    assert folder.all_rows() == before
    assert folder.verify() == []
    rescore(folder)
    assert folder.all_rows() == before
    assert folder.verify() == []
    assert len(list(folder.path.glob("metrics*"))) == 1


def test_a_kill_before_the_old_metrics_are_deleted_does_no_harm(store, monkeypatch):
    folder = store.runs()[0]
    before = folder.all_rows()

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            rescore(folder)
    assert folder.history().generation == 2
    assert folder.all_rows() == before
    assert folder.verify() == []
    rescore(folder)
    assert [p.name for p in folder.path.glob("metrics*")] == ["metrics-3"]


def test_a_journal_that_a_crash_cut_off_is_mended_first(store):
    folder = store.runs()[0]
    with folder.journal.path.open("ab") as file:
        file.write(b'{"event":"epo')
    rescore(folder)
    assert folder.verify() == []
    assert folder.history().generation == 2


@pytest.mark.parametrize(
    "name", ["predictions/epoch-0002.parquet", "examples.parquet", "manifest.json"]
)
def test_damaged_predictions_are_refused_and_the_old_metrics_stay(store, name):
    folder = store.runs()[0]
    before = folder.history().records
    flip_a_bit(folder.path / name)
    if name == "manifest.json":
        assert calibench("score", store.path).code == 0, "metrics do not rest on it"
        return
    told = refused(5, "score", store.path)
    assert str(folder.path / name) in told
    assert folder.history().records == before
    assert folder.all_rows()


def test_a_run_under_way_is_not_scored(store, monkeypatch):
    clock = SimpleNamespace(monotonic=count(step=11).__next__, sleep=None)
    monkeypatch.setattr(lock, "time", clock)  # its patience is over at once
    with store.runs()[0].owned():
        told = refused(6, "score", store.path)
    assert "another process" in told


def test_a_run_is_scored_and_then_goes_on(store):
    """New scores of an unfinished run do not hinder its last epoch."""
    folder = store.runs()[0]
    whole = folder.all_rows()
    lines = folder.journal.path.read_bytes().splitlines(keepends=True)
    folder.journal.path.write_bytes(b"".join(lines[:3]))  # the begin, two epochs
    rescore(folder)
    assert [row["epoch"] for row in folder.all_rows()] == [1] * 7 + [2] * 7
    done = calibench("run", store.path / "study.toml", "--store", store.path)
    assert done.code == 0, done.err
    assert folder.all_rows() == whole
    assert folder.verify() == []
    assert json.loads(folder.path.joinpath("manifest.json").read_bytes())


def test_the_report_shows_what_calibrators_leave(store):
    assert calibench("report", store.path).code == 0
    page = (store.path / "report.html").read_text()
    assert page.count('<section id="recalibrated">') == 1
    assert "Refinement over training" in page
    table = json.loads((store.path / "report_files" / "table.json").read_text())
    first = table["final"][0]
    folder = store.runs()[0]
    rows = {
        row["calibrator"]: row
        for row in folder.rows(folder.history().last_epoch)
        if row["split"] == "test"
    }
    for name in ("vector_scaling", "dirichlet"):
        if "nll" in rows[name]:
            shown = first["values"][f"nll_after_{name}"]["mean"]
            assert shown == rows[name]["nll"]
        else:
            assert first["absences"][f"nll_after_{name}"] == rows[name]["reason"]
    assert first["values"]["nll_refinement"]["mean"] == rows["none"]["nll_refinement"]

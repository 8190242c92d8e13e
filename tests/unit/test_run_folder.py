import json

import numpy as np
import pytest

from calibench.errors import DataError, IntegrityError, LockedError, ParameterError
from calibench.lab.store import EpochFiles, RunFolder, Store, lock

EXAMPLES = {
    "split": np.array(["test", "test"]),
    "example": np.array([0, 1], dtype=np.int32),
    "label": np.array([1, 0], dtype=np.int32),
}


def epoch_files(epoch):
    return EpochFiles(
        rows=[{"epoch": epoch, "split": "test", "nll": 1 / epoch}],
        predictions=EXAMPLES | {"logit_0": np.full(2, epoch, dtype=np.float32)},
        checkpoint=f"state {epoch}".encode(),
    )


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "some-run")
    folder.path.mkdir(parents=True)
    folder.begin({"run": "some"}, EXAMPLES)
    for epoch in (1, 2, 3):
        folder.commit_epoch(epoch, epoch_files(epoch))
    return folder


def tree(path):
    return {
        str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()
    }


def test_what_is_committed_is_read_back(folder):
    assert folder.manifest() == {"run": "some"}
    assert folder.history().epochs == (1, 2, 3)
    assert folder.rows(2) == [{"epoch": 2, "split": "test", "nll": 0.5}]
    assert [row["epoch"] for row in folder.all_rows()] == [1, 2, 3]
    assert folder.predictions(3)["logit_0"].tolist() == [3.0, 3.0]
    assert folder.predictions(3)["split"].tolist() == ["test", "test"]
    assert folder.predictions(3)["label"].dtype == np.int32
    assert folder.checkpoint() == (3, b"state 3")
    assert folder.verify() == []


def test_two_checkpoints_are_kept(folder):
    names = sorted(p.name for p in (folder.path / "checkpoints").iterdir())
    assert names == ["epoch-0002.pt", "epoch-0003.pt"]


def test_an_epoch_without_its_journal_record_did_not_happen(folder):
    before = folder.journal.path.read_bytes()
    folder.commit_epoch(4, epoch_files(4))
    whole = tree(folder.path)
    folder.journal.path.write_bytes(before)
    assert folder.history().last_epoch == 3
    folder.commit_epoch(4, epoch_files(4))
    assert tree(folder.path) == whole


def test_a_damaged_checkpoint_falls_back_to_the_one_before(folder):
    (folder.path / "checkpoints" / "epoch-0003.pt").write_bytes(b"state E")
    assert folder.checkpoint() == (2, b"state 2")
    assert "epoch-0003.pt" in folder.verify()[0]
    folder.commit_epoch(3, epoch_files(3))
    assert folder.verify() == []
    assert folder.history().epochs == (1, 2, 3)


def test_an_epoch_run_again_must_give_the_same_bytes(folder):
    with pytest.raises(IntegrityError, match=r"epoch 3 was run again .*epoch-0003.pt"):
        folder.commit_epoch(
            3,
            EpochFiles(
                rows=epoch_files(3).rows,
                predictions=epoch_files(3).predictions,
                checkpoint=b"other",
            ),
        )


def test_a_writer_that_lost_its_run_changes_nothing(folder, monkeypatch):
    """A lock that ended early: the first owner goes on, and knows of no second."""
    monkeypatch.setattr(lock.fcntl, "flock", lambda descriptor, how: None)
    with folder.owned() as stale, folder.owned() as owner:
        owner.commit_epoch(4, epoch_files(4))
        before = tree(folder.path)
        for epoch in (3, 4, 5):
            with pytest.raises(LockedError, match="another process"):
                stale.commit_epoch(epoch, epoch_files(epoch))
        with pytest.raises(LockedError, match="another process"):
            stale.commit_event("end", outcome="finished")
        assert tree(folder.path) == before
        owner.commit_event("end", outcome="finished")
    assert folder.history().outcome == "finished"


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "examples.parquet",
        "metrics/epoch-0001.jsonl",
        "predictions/epoch-0002.parquet",
        "checkpoints/epoch-0003.pt",
    ],
)
def test_every_file_is_guarded(folder, name):
    path = folder.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    (problem,) = folder.verify()
    assert str(path) in problem


def test_new_scores_replace_the_old_in_one_step(folder):
    rows = {epoch: [{"epoch": epoch, "nll": 0.0}] for epoch in (1, 2, 3)}
    before = folder.journal.path.read_bytes()
    folder.commit_scores(rows)
    assert folder.all_rows() == [r for each in rows.values() for r in each]
    assert folder.verify() == []
    assert not (folder.path / "metrics").exists()
    folder.commit_epoch(4, epoch_files(4))
    assert folder.rows(4) == epoch_files(4).rows
    folder.commit_scores(rows | {4: [{"epoch": 4}]})
    assert [row["epoch"] for row in folder.all_rows()] == [1, 2, 3, 4]
    assert len(before) < len(folder.journal.path.read_bytes())


def test_a_reader_overtaken_by_new_scores_reads_those(folder, monkeypatch):
    stale = folder.history()
    folder.commit_scores({epoch: [{"epoch": epoch, "nll": 0.0}] for epoch in (1, 2, 3)})
    fresh = folder.history()
    taken = iter([stale, fresh, stale, fresh])
    monkeypatch.setattr(RunFolder, "history", lambda _: next(taken))
    assert folder.rows(2) == [{"epoch": 2, "nll": 0.0}]
    assert [row["nll"] for row in folder.all_rows()] == [0.0, 0.0, 0.0]


def test_equal_columns_give_equal_bytes(tmp_path):
    folders = [RunFolder(tmp_path / name) for name in ("a", "b")]
    for folder in folders:
        folder.path.mkdir()
        folder.begin({"run": "same"}, EXAMPLES)
        folder.commit_epoch(1, epoch_files(1))
    assert tree(folders[0].path) == tree(folders[1].path)


STUDY = {"name": "mine", "spec": {}, "runs": ["a-run"]}


def test_a_store_opens_again_for_its_study_only(tmp_path):
    store = Store.prepared(tmp_path / "s", STUDY, "name = 'mine'")
    assert store.study()["runs"] == ["a-run"]
    assert store.toml() == "name = 'mine'"
    assert Store.prepared(tmp_path / "s", STUDY, "x").runs() == store.runs()
    with pytest.raises(
        ParameterError, match="store of the study 'mine', not of 'yours'"
    ):
        Store.prepared(tmp_path / "s", STUDY | {"name": "yours"}, "")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(ParameterError, match=r"exists and is not a store"):
        Store.prepared(tmp_path, STUDY, "")
    with pytest.raises(ParameterError, match=r"no study\.json"):
        Store.existing(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "mine"}', "null"])
def test_a_damaged_study_says_so_and_is_replaced(tmp_path, content):
    store = Store.prepared(tmp_path / "s", STUDY, "")
    (store.path / "study.json").write_text(content)
    with pytest.raises(DataError, match=r"study.json: damaged .* Delete this one file"):
        store.study()
    (store.path / "study.json").unlink()
    assert Store.prepared(tmp_path / "s", STUDY, "").study()["name"] == "mine"


def test_a_newer_format_is_refused(tmp_path):
    store = Store.prepared(tmp_path / "s", STUDY, "")
    (store.path / "study.json").write_text(json.dumps({"format": 2, "name": "mine"}))
    with pytest.raises(DataError, match="format 2, and this version reads 1"):
        store.study()


@pytest.mark.parametrize("run_id", ["../x", "", "a/b", ".hidden"])
def test_a_run_cannot_leave_its_store(tmp_path, run_id):
    with pytest.raises(ParameterError, match="not the name of a run"):
        Store(tmp_path).run(run_id)

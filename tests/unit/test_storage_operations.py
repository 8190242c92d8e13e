"""A crash at every storage operation: before it, in its middle, after it, and again."""

from pathlib import Path

import numpy as np
import pytest

from calibench.lab.store import EpochFiles, RunFolder, journal, run_folder

EPOCHS = 3
EXAMPLES = {
    "split": np.array(["test", "test"]),
    "example": np.array([0, 1], dtype=np.int32),
    "label": np.array([1, 0], dtype=np.int32),
}


class CrashError(BaseException):
    """The process is gone: nothing in it may catch this."""


class Disk:
    """The storage operations of a run, of which one is its last."""

    def __init__(self, monkeypatch, *, last=None, how="before"):
        self.count, self.last, self.how = 0, last, how
        self.write, self.append = run_folder.write_bytes, journal.append_line
        self.cut, self.unlink = journal.truncate, Path.unlink
        monkeypatch.setattr(run_folder, "write_bytes", self.writing)
        monkeypatch.setattr(journal, "append_line", self.appending)
        monkeypatch.setattr(journal, "truncate", self.cutting)

        def unlink(path, **options):
            return self.unlinking(path, **options)

        monkeypatch.setattr(Path, "unlink", unlink)

    def step(self, whole, half):
        is_last = self.count == self.last
        self.count += 1
        if is_last and self.how == "torn":
            half()
        done = None if is_last and self.how != "after" else whole()
        if is_last:
            raise CrashError
        return done

    def writing(self, path, content):
        # The name appears in one step; half of a write is half of a temporary file.
        half = path.with_name(f".{path.name}.unfinished")

        def tear():
            half.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(content[: len(content) // 2])

        return self.step(lambda: self.write(path, content), tear)

    def appending(self, path, line):
        def tear():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(line[: len(line) // 2])

        return self.step(lambda: self.append(path, line), tear)

    def cutting(self, path, size):
        return self.step(lambda: self.cut(path, size), lambda: None)

    def unlinking(self, path, **options):
        if path.name.startswith("."):
            return self.unlink(path, **options)
        return self.step(lambda: self.unlink(path, **options), lambda: None)


def epoch_files(epoch):
    return EpochFiles(
        rows=[{"epoch": epoch, "split": "test", "nll": 1 / epoch}],
        predictions=EXAMPLES | {"logit_0": np.full(2, epoch, dtype=np.float32)},
        checkpoint=f"state {epoch}".encode(),
    )


def carry_on(folder):
    """Do what is left of a run, as `execute` does, with an epoch that costs nothing."""
    with folder.owned():
        if folder.history().outcome == "finished":
            return
        folder.begin({"run": "some"}, EXAMPLES)
        found = folder.checkpoint()
        for epoch in range(1 + (found[0] if found else 0), EPOCHS + 1):
            folder.commit_epoch(epoch, epoch_files(epoch))
        folder.commit_event("end", outcome="finished")


def tree(folder):
    return {
        str(path.relative_to(folder.path)): path.read_bytes()
        for path in folder.path.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a run that nothing disturbed, and its number of operations."""
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch)
        carry_on(folder)
    # A manifest, the examples, a record; for each epoch three files and a record, and
    # in the third the first checkpoint is dropped; the record of the end.
    assert disk.count == 3 + EPOCHS * 4 + 1 + 1
    return tree(folder), disk.count


def crashed(folder, monkeypatch, last, how):
    """Return whether a run crashed at an operation; it may have no such operation."""
    with monkeypatch.context() as patch:
        Disk(patch, last=last, how=how)
        try:
            carry_on(folder)
        except CrashError:
            return True
    return False


@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_a_crash_anywhere_loses_nothing_committed(whole, tmp_path, monkeypatch, how):
    files, operations = whole
    for last in range(operations):
        folder = RunFolder(tmp_path / f"run{last}")
        assert crashed(folder, monkeypatch, last, how)
        committed = folder.history().epochs
        assert committed == tuple(range(1, len(committed) + 1))
        assert folder.verify() == []
        carry_on(folder)
        assert tree(folder) == files, (how, last)
        assert folder.verify() == []


@pytest.mark.parametrize("again", ["torn", "after"])
@pytest.mark.parametrize("how", ["torn", "after"])
def test_a_crash_during_recovery_loses_nothing_either(
    whole, tmp_path, monkeypatch, how, again
):
    files, operations = whole
    for last in range(0, operations, 2):
        for second in range(2):
            folder = RunFolder(tmp_path / f"run{last}-{second}")
            assert crashed(folder, monkeypatch, last, how)
            crashed(folder, monkeypatch, second, again)
            carry_on(folder)
            assert tree(folder) == files, (how, last, again, second)


def test_what_a_kill_leaves_half_written_is_swept_up(whole, tmp_path, monkeypatch):
    files, _ = whole
    folder = RunFolder(tmp_path / "run")
    assert crashed(folder, monkeypatch, 9, "after")
    # Named after a process that is gone, it would never be taken over.
    (folder.path / ".table.12345.unfinished").write_bytes(b"half")
    carry_on(folder)
    assert tree(folder) == files

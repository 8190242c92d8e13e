"""Every corruption of every file of a run is named, and never read as if sound."""

import shutil

import pytest

from calibench.errors import IntegrityError
from calibench.lab.store import RunFolder
from command_line import calibench, refused
from faults.corruption import CHANGES, spoil
from faults.judging import RUN
from faults.runs import EPOCHS, EXAMPLES, carry_on, epoch_files, tree


@pytest.fixture(scope="module")
def other(memory):
    """Another run, of the same epochs and other content."""
    folder = RunFolder(memory / "other" / RUN)
    with folder.owned():
        labels = EXAMPLES["label"][::-1].copy()
        folder.begin({"run": "other"}, EXAMPLES | {"label": labels})
        for epoch in range(1, EPOCHS + 1):
            files = epoch_files(epoch + 10)
            folder.commit_epoch(epoch, files)
    return folder


def copy_of(cheap, root):
    shutil.copytree(cheap.root, root)
    return RunFolder(root / RUN)


def read_all(folder):
    """Everything that a report, scores or a resumed run would read."""
    history = folder.history()
    return (
        history.outcome,
        folder.manifest(),
        folder.examples()["label"].tolist(),
        folder.all_rows(),
        [folder.predictions(e)["logit_0"].tolist() for e in history.epochs],
        [folder.checkpoint_of(e) for e in history.epochs[-2:]],
    )


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_named_by_verify_and_never_read(cheap, other, scratch, change):
    whole = copy_of(cheap, scratch / "whole")
    sound = read_all(whole)
    for number, name in enumerate(sorted(cheap.files)):
        folder = copy_of(cheap, scratch / str(number))
        path = scratch / str(number) / name
        replacement = other.path / path.relative_to(folder.path)
        elsewhere = replacement.read_bytes() if replacement.exists() else b"\0"
        assert spoil(path, change, elsewhere, number), name
        problems = folder.verify()
        if path.name == "journal.jsonl" and _is_shorter(folder, whole):
            # What is left of it is right, and the rest is done again.
            carry_on(folder)
            assert read_all(folder) == sound
            continue
        if path.name == "journal.jsonl" and change == "another run's":
            # In itself it is sound; it is about none of the files that are there.
            assert len(problems) >= len(cheap.files) - 1
        else:
            named = [problem for problem in problems if path.name in problem]
            assert named, (name, problems)
        assert _refused_or_equal(folder, sound), name


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_cut_short_resumes_past_it_or_stops_there(cheap, other, scratch, change):
    """After epoch 2 of 3: by the older checkpoint, in the same bytes; or not at all."""
    lines = (cheap.root / RUN / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for number, name in enumerate(sorted(cheap.files)):
        folder = copy_of(cheap, scratch / str(number))
        folder.journal.path.write_bytes(b"".join(lines[:3]))
        path = scratch / str(number) / name
        if not path.exists():
            continue
        replacement = other.path / path.relative_to(folder.path)
        elsewhere = replacement.read_bytes() if replacement.exists() else b"\0"
        spoil(path, change, elsewhere, number)
        before = folder.verify()
        if _stopped(folder):
            assert before, "it stops at damage that verify names"
            continue
        now = folder.verify()
        assert set(now) <= set(before), "what the run did not need is still named"
        if not now:
            assert tree(scratch / str(number)) == cheap.files, name


def _stopped(folder):
    try:
        carry_on(folder)
    except IntegrityError:
        return True
    return False


def _refused_or_equal(folder, sound):
    """Whether damage is an error of its own kind, or where nobody looked."""
    try:
        return read_all(folder) == sound
    except IntegrityError:
        return True


def _is_shorter(folder, whole):
    """Whether a journal holds the first records of another and no more."""
    try:
        records = folder.journal.read()
    except IntegrityError:
        return False
    return records == whole.journal.read()[: len(records)]


def test_a_journal_that_lost_records_is_noticed(cheap, scratch):
    folder = copy_of(cheap, scratch / "store")
    lines = folder.journal.path.read_bytes().splitlines(keepends=True)
    for kept in (0, 1):
        folder.journal.path.write_bytes(b"".join(lines[:kept]))
        (problem,) = folder.verify()
        assert "journal.jsonl: ends at epoch 0" in problem
    folder.journal.path.write_bytes(b"".join(lines[:3]))
    assert not any("ends at" in each for each in folder.verify()), "as after a kill"


def test_the_folder_of_one_run_under_the_name_of_another(tiny_store, tmp_path):
    """Every hash in it is right."""
    shutil.copytree(tiny_store, tmp_path / "store")
    first, second = sorted((tmp_path / "store" / "runs").iterdir())
    shutil.rmtree(second)
    shutil.copytree(first, second)
    done = calibench("verify", tmp_path / "store", "--replay", 0)
    assert done.code == 5
    named = [line for line in done.out.splitlines() if "of another run" in line]
    assert len(named) == 1
    assert str(second / "manifest.json") in named[0]
    told = refused(5, "report", tmp_path / "store")
    assert str(second / "manifest.json") in told
    journal = second / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]))
    study = tmp_path / "store" / "study.toml"
    told = refused(5, "run", study, "--store", tmp_path / "store")
    assert "holds another run" in told

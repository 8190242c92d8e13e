"""What a disk may hold after a power loss, at every instant of a run."""

import pytest

from faults.disk import CHANGES, Operation
from faults.judging import bad_states, recorded, recorded_after_a_kill, summary
from faults.power_loss import Disk, crash_states


def test_no_state_after_a_power_loss_is_bad(cheap, scratch):
    found = list(bad_states(cheap, scratch))
    bad = [each for each in found if each[1]]
    assert not bad
    assert len(found) > len(cheap.operations) // 2, "or there was nothing to judge"


def test_nor_one_after_a_kill_and_a_power_loss_during_recovery(cheap, scratch):
    """A killed process leaves in memory what the next one takes for written."""
    risky = [
        number
        for number, each in enumerate(cheap.operations, start=1)
        if each.kind == "mkdir"
        or (each.kind == "write" and each.path.name == "journal.jsonl")
    ]
    for done in risky:
        again = recorded_after_a_kill(cheap, done, scratch / "again")
        found = bad_states(again, scratch, first=done, chosen=lambda n: n % 3 == 0)
        assert [each for each in found if each[1]] == [], done


@pytest.mark.parametrize(
    ("forgotten", "share"),
    [
        (lambda operation: operation.kind == "sync", 0.3),
        (lambda operation: _syncs(operation) == "file", 0.2),
        (lambda operation: _syncs(operation) == "folder", 0.1),
    ],
    ids=["all", "of files", "of folders"],
)
def test_without_fsync_the_same_check_fails(forgotten, share, memory, scratch):
    root = scratch / "root"
    root.mkdir()
    run = recorded(root, forgotten)
    found = list(bad_states(run, scratch, chosen=lambda n: n % 20 == 0))
    count, lost, wrong = summary(found)
    assert lost + wrong > share * count, (count, lost, wrong)


def _syncs(operation):
    if operation.kind != "sync":
        return ""
    return "folder" if operation.path.is_dir() else "file"


def states(tmp_path, *operations):
    """What may be there after all of some operations below `tmp_path`."""
    made = [
        Operation(kind, tmp_path / path, **facts) for kind, path, facts in operations
    ]
    return [state for done, state in crash_states(tmp_path, made) if done == len(made)]


def test_content_is_safe_once_it_is_synced_and_its_name_once_the_folder_is(tmp_path):
    create = ("create", "a", {})
    write = ("write", "a", {"content": b"abcd"})
    file, folder = ("sync", "a", {}), ("sync", "", {})
    assert states(tmp_path, create, write, file, folder) == [{"a": b"abcd"}]
    assert states(tmp_path, create, write, file) == [{"a": b"abcd"}, {}]
    unsynced = states(tmp_path, create, write, folder)
    assert unsynced == [{"a": each} for each in (b"abcd", b"", b"ab", b"\0\0\0\0")]


def test_a_rename_is_there_or_not_and_never_half(tmp_path):
    made = [
        ("create", "a", {}),
        ("write", "a", {"content": b"new"}),
        ("sync", "a", {}),
        ("create", "b", {}),
        ("sync", "", {}),
        ("rename", "a", {"target": tmp_path / "b"}),
    ]
    assert states(tmp_path, *made) == [{"b": b"new"}, {"a": b"new", "b": b""}]


def test_a_cut_and_a_deletion_may_wait(tmp_path):
    made = [
        ("mkdir", "d", {}),
        ("create", "d/a", {}),
        ("write", "d/a", {"content": b"abcd"}),
        ("sync", "d/a", {}),
        ("sync", "d", {}),
        ("sync", "", {}),
        ("truncate", "d/a", {"place": 2}),
    ]
    cut = states(tmp_path, *made)
    assert {each["d/a"] for each in cut} == {b"ab", b"abcd", b"abc"}
    gone = states(tmp_path, *made[:-1], ("unlink", "d/a", {}))
    assert gone == [{"d": None}, {"d": None, "d/a": b"abcd"}]


def test_every_kind_of_change_is_modelled(cheap):
    assert {each.kind for each in cheap.operations} <= set(CHANGES)
    disk = Disk(cheap.root)
    for operation in cheap.operations:
        disk.do(operation)
    seen = {name: each for name, each in disk.newest().items() if each is not None}
    assert {n: c for n, c in seen.items() if not n.endswith("lock")} == cheap.files

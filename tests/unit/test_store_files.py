import os
import socket
from hashlib import sha256
from pathlib import Path

import pytest

from calibench.errors import IntegrityError, LockedError, ResourceError
from calibench.lab.store import files, lock
from calibench.lab.store.files import append_line, read_checked, write_bytes
from calibench.lab.store.lock import owned, read_mark


def test_a_write_replaces_and_leaves_no_litter(tmp_path):
    for content in (b"old", b"new"):
        seal = write_bytes(tmp_path / "a" / "manifest.json", content)
    assert seal == sha256(b"new").hexdigest()
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["manifest.json"]
    assert (tmp_path / "a" / "manifest.json").read_bytes() == b"new"


def test_a_write_is_on_disk_before_its_name_is(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        calls.append(
            "fsync folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "fsync"
        )
        real_fsync(descriptor)

    def replace(source, target, **kwargs):
        calls.append("rename")
        real_replace(source, target, **kwargs)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_bytes(tmp_path / "file", b"content")
    assert calls == ["fsync", "rename", "fsync folder"]


def test_a_write_that_fails_keeps_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match=r"file: No space left .* run the same"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_lines_are_appended(tmp_path):
    for line in ("a", "b"):
        append_line(tmp_path / "log", line)
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_the_name_of_a_new_file_is_put_on_disk_once(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    for line in ("a", "b"):
        append_line(tmp_path / "log", line)
    assert synced == [tmp_path]


@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_a_line_that_may_not_be_on_disk_is_taken_back(tmp_path, monkeypatch, failing):
    """After a failed fsync the system may forget what it had not written."""
    path = tmp_path / "log"
    append_line(path, "a")

    def fsync(descriptor):
        raise OSError(5, "Input/output error")

    def write(file, content):
        file.write(content[:2])
        raise OSError(28, "No space left on device")

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", fsync)
    else:
        monkeypatch.setattr(files, "_write_whole", write)
    with pytest.raises(ResourceError, match=r"log: .* kept"):
        append_line(path, "bcd")
    assert path.read_text() == "a\n"


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "file"
    seal = write_bytes(path, b"content")
    assert read_checked(path, seal) == b"content"
    path.write_bytes(b"cOntent")
    with pytest.raises(IntegrityError, match="SHA-256 differs"):
        read_checked(path, seal)
    path.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        read_checked(path, seal)


def test_a_lock_has_one_owner_and_is_freed(tmp_path):
    first, second = owned(tmp_path / "lock"), owned(tmp_path / "lock", patience=0)
    with first, pytest.raises(LockedError, match="another process"), second:
        pytest.fail("two owners")
    with owned(tmp_path / "lock", patience=0):
        pass


def test_who_is_refused_a_lock_hears_who_holds_it(tmp_path):
    told = rf"{socket.gethostname()}, process {os.getpid()}\) is at work"
    with (
        owned(tmp_path / "lock"),
        pytest.raises(LockedError, match=told),
        owned(tmp_path / "lock", patience=0),
    ):
        pytest.fail("two owners")


def test_owners_are_counted_whatever_a_kill_left_of_the_last_mark(tmp_path):
    path = tmp_path / "lock"
    for number in ("1 ", "2 "):
        with owned(path) as fence:
            assert read_mark(path) == fence.mark
            assert fence.mark.startswith(number)
    path.write_bytes(b"\xff\x002")
    with owned(path) as fence:
        assert fence.mark.startswith("1 ")
        fence.check()


def test_a_fence_finds_a_later_owner_where_locks_do_not_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "flock", lambda descriptor, how: None)
    path = tmp_path / "lock"
    with owned(path) as stale:
        stale.check()
        with owned(path) as fence:
            fence.check()
            with pytest.raises(LockedError, match="another process"):
                stale.check()
        path.unlink()
        with pytest.raises(LockedError, match="another process is at work"):
            fence.check()

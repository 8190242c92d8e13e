import os
import stat
from pathlib import Path

import pytest

from calibench.lab import durable
from calibench.lab.durable import replacing


@pytest.fixture
def order(monkeypatch):
    """What is done to the disk, in order."""
    done = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor):
        mode = os.fstat(descriptor).st_mode
        done.append("sync folder" if stat.S_ISDIR(mode) else "sync file")
        real_fsync(descriptor)

    def replace(self, target):
        done.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(durable.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    return done


def test_the_content_is_on_disk_before_its_name_and_the_name_before_the_end(
    tmp_path, order
):
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
    assert order == ["sync file", "rename", "sync folder"]
    assert (tmp_path / "a").read_bytes() == b"new"


def test_what_was_there_stays_until_the_new_is_complete(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write_half():
        with replacing(path) as file:
            file.write(b"ne")
            file.flush()
            assert path.read_bytes() == b"old"
            message = "killed"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="killed"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_folder_is_synced_into_every_folder_above_it(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    durable.make_folder(tmp_path / "a" / "b")
    assert sorted(synced) == [tmp_path, tmp_path / "a"]
    durable.make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2

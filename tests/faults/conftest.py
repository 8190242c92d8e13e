"""Undisturbed runs to compare with, on a file system that is quick to sync."""

import shutil
import tempfile
from pathlib import Path

import pytest

from command_line import calibench, study_file
from faults.disk import Recorder, watched
from faults.judging import recorded
from faults.runs import SmallStudy, tree


@pytest.fixture(scope="session")
def memory():
    """A folder in memory where there is one: these tests sync thousands of files."""
    room = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    folder = tempfile.mkdtemp(dir=room if room.is_dir() else None)
    yield Path(folder).resolve()
    shutil.rmtree(folder)


@pytest.fixture
def scratch(memory):
    """A folder of one test."""
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cheap(memory):
    """A recorded run whose epochs cost nothing."""
    (memory / "cheap").mkdir()
    return recorded(memory / "cheap")


@pytest.fixture(scope="session")
def small(memory):
    """A study that takes a fifth of a second a run."""
    folder = memory / "small"
    folder.mkdir()
    return SmallStudy(folder)


@pytest.fixture(scope="session")
def trained(small):
    """The operations and files of an undisturbed run of it."""
    store, recorder = small.prepared(small.folder / "whole"), Recorder()
    with watched(store.path, recorder):
        small.run(store)
    return recorder.operations, tree(store.path)


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """The store of a finished study of two runs, to be left as it is."""
    folder = tmp_path_factory.mktemp("tiny")
    done = calibench("run", study_file(folder), "--store", folder / "store")
    assert done.code == 0, done.err
    return folder / "store"

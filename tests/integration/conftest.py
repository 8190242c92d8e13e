"""A finished study, for every test that needs one."""

import pytest

from command_line import calibench, copied, study_file


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """The store of a finished study of two runs, made once and to be left as it is."""
    folder = tmp_path_factory.mktemp("tiny")
    done = calibench("run", study_file(folder), "--store", folder / "store")
    assert done.code == 0, done.err
    assert done.out == ""
    return folder / "store"


@pytest.fixture
def store(tiny_store, tmp_path):
    """A copy of it that may be spoiled."""
    return copied(tiny_store, tmp_path / "store")

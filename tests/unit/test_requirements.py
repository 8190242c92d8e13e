"""The pinned versions, the lock of hashes and pyproject.toml tell one story."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text):
    found = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", text, flags=re.MULTILINE)
    return {normal(name): version for name, version in found}


@pytest.fixture(scope="module")
def constraints():
    return pins((REQUIREMENTS / "constraints.txt").read_text())


@pytest.fixture(scope="module")
def lock_text():
    return (REQUIREMENTS / "lock.txt").read_text()


def test_every_declared_dependency_is_pinned(constraints):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        declared += extra
    names = {normal(re.match(r"[A-Za-z0-9_.-]+", line)[0]) for line in declared}
    assert names - constraints.keys() == {"calibench"}  # of extras in extras


def test_what_torch_requires_on_any_machine_is_pinned(constraints):
    unconditional = [line for line in requires("torch") if ";" not in line]
    names = {normal(re.match(r"[A-Za-z0-9_.-]+", line)[0]) for line in unconditional}
    assert names
    assert names <= constraints.keys()


def test_the_lock_has_the_pinned_versions(constraints, lock_text):
    locked = pins(lock_text)
    assert {name: locked.get(name) for name in constraints} == constraints


def test_the_lock_adds_only_what_some_platform_needs(constraints, lock_text):
    entries = re.findall(r"^(\S+?)==\S+( ; .*?)? \\$", lock_text, flags=re.MULTILINE)
    added = {name: marker for name, marker in entries if name not in constraints}
    assert all("sys_platform ==" in marker for marker in added.values())


def test_every_locked_file_has_a_hash(lock_text):
    lines = [line for line in lock_text.splitlines() if not line.startswith("#")]
    heads = [i for i, line in enumerate(lines) if not line.startswith(" ")]
    assert heads
    for i in heads:
        assert lines[i].endswith("\\")
        assert re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?", lines[i + 1])


@pytest.mark.parametrize("name", ["constraints.txt", "lock.txt"])
def test_no_local_build_and_no_index_is_named(name):
    text = (REQUIREMENTS / name).read_text()
    assert pins(text)["torch"] == "2.13.0"
    assert not re.search(r"==\S*\+", text)
    assert "://" not in text
    assert "-index" not in text

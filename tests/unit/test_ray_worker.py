"""What a Ray worker finds out about its node, without Ray."""

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from calibench.lab.store.lock import owned
from calibench.lab.study import ray_worker, shipped_code
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.ray_worker import (
    PROBE,
    Site,
    carry_out,
    node_problem,
    node_problem_at_start,
)
from calibench.lab.study.shipped_code import ShippedCode
from calibench.lab.study.software import software


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_worker, "_LATE_SECONDS", 0)
    (tmp_path / "study.json").write_bytes(b"{}")
    return Site(
        store=tmp_path,
        study=sha256(b"{}").hexdigest(),
        conditions=Conditions(data=tmp_path),
        software=software(),
        code=ShippedCode(tmp_path),
    )


def test_a_node_that_sees_the_store_and_locks_has_no_problem(site):
    assert node_problem("n1", site) == ""
    with owned(site.store / PROBE):
        assert node_problem_at_start("n1", site) == ""


def test_a_node_without_the_store_is_named_with_the_path(site):
    (site.store / "study.json").unlink()
    told = node_problem_at_start("n1", site)
    assert told.startswith(
        f"node n1 does not see the store {site.store} (No such file or directory). "
    )
    (site.store / "study.json").write_bytes(b"{ }")
    assert "(another study is there)" in node_problem("n1", site)
    end = carry_out("some-run", site)
    assert (end.exit_code, end.node) == (4, os.uname().nodename)
    assert "another study is there" in end.problem


def test_a_node_whose_locks_do_not_hold_is_refused(site):
    """Nobody holds the probe's lock, as it looks where locks are a node's own."""
    assert "gets a lock at" in node_problem_at_start("n1", site)


def test_a_node_with_other_software_is_refused_unless_drift_is_allowed(site):
    other = replace(site, software=software() | {"torch": "1.0", "python": "2.7"})
    told = node_problem("n1", other)
    assert f"torch 1.0 here, {software()['torch']} there" in told
    assert "python 2.7 here" in told
    assert "numpy" not in told
    assert node_problem("n1", replace(site, software={})) == ""


def test_a_worker_loads_no_torch():
    code = (
        "import sys; import calibench.lab.study.ray_worker; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a module and a package, both imported, and one that is not."""
    folder = tmp_path / "here"
    (folder / "shipped_package" / "inner").mkdir(parents=True)
    (folder / "shipped_module.py").write_text("NUMBER = 7")
    (folder / "unused_module.py").write_text("")
    for name in ("__init__.py", "inner/__init__.py", "inner/late.py"):
        (folder / "shipped_package" / name).write_text("")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(shipped_code.tempfile, "gettempdir", lambda: str(tmp_path))
    for name in ("shipped_module", "shipped_package"):
        __import__(name)
    yield folder
    for name in ("shipped_module", "shipped_package"):
        sys.modules.pop(name)


def test_modules_of_a_folder_are_shipped_and_packages_whole(here):
    assert list(ShippedCode.of(here).sources) == [
        "shipped_module.py",
        "shipped_package/__init__.py",
        "shipped_package/inner/__init__.py",
        "shipped_package/inner/late.py",
    ]
    assert ShippedCode.of(here.parent).sources == {}


def test_shipped_modules_are_found_where_their_folder_is_not(here, monkeypatch):
    code = replace(ShippedCode.of(here), folder=here / "absent")
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = Path.cwd()
    for _ in range(2):  # the second finds what the first has put there
        code.made_importable()
    place = Path(sys.path[0])
    assert (place / "shipped_module.py").read_text() == "NUMBER = 7"
    assert place.stat().st_mode & 0o077 == 0
    assert sys.path.count(str(place)) == 1
    assert Path.cwd() == before
    (here / "shipped_module.py").write_text("NUMBER = 8")
    ShippedCode.of(here).made_importable()
    assert Path(sys.path[0]) != place
    assert Path.cwd() == here
    os.chdir(before)


def test_a_place_of_somebody_else_is_not_used(here, monkeypatch):
    monkeypatch.setattr(shipped_code.os, "getuid", lambda: 12345)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        replace(ShippedCode.of(here), folder=here / "absent").made_importable()

"""Several processes share one store: each does its share, and nothing is lost."""

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from calibench import cli
from calibench.lab.store import Store
from calibench.lab.study import run_process
from command_line import TINY, calibench, refused, results, study_file


@pytest.fixture
def study(tmp_path):
    return study_file(tmp_path / "study")


def share(study, store, shard, ready):
    """Be `calibench run` with a share, begun when the others are ready, too."""
    run_process.process_context = lambda: multiprocessing.get_context("fork")
    ready.wait()
    cli.main(["run", str(study), "--store", str(store), "--shard", shard])


def codes_of_shares(study, store, number):
    """Run all shares at once; return their exit codes."""
    context = run_process.process_context()
    ready = context.Barrier(number)
    processes = [
        context.Process(target=share, args=(study, store, f"{i}/{number}", ready))
        for i in range(1, number + 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    return [process.exitcode for process in processes]


def test_shares_at_once_on_a_store_that_none_has_made_end_in_the_same_bytes(
    study, tiny_store, tmp_path
):
    # Three shares of two runs: one has nothing to do, which is no failure.
    assert codes_of_shares(study, tmp_path / "store", 3) == [0, 0, 0]
    assert results(tmp_path / "store") == results(tiny_store)


def test_one_share_leaves_the_runs_of_the_others_alone(study, tmp_path):
    store = tmp_path / "store"
    done = calibench("run", study, "--store", store, "--shard", "1/2")
    assert done.code == 0, done.err
    states = sorted(row["state"] for row in calibench("status", store, "--json").json)
    assert states == ["finished", "waiting"]
    again = calibench("run", study, "--store", store, "--shard", "1/2")
    assert again.code == 0, again.err
    assert "1 of 1 runs are done" in again.err, "of its share"


def test_a_share_that_does_not_exist_is_refused_before_anything_is_written(
    study, tmp_path
):
    for shard, words in (("0/2", "numbered from 1 to 2"), ("two", "I/N")):
        said = refused(2, "run", study, "--store", tmp_path / "s", "--shard", shard)
        assert words in said
    assert not (tmp_path / "s").exists()


def test_the_exit_code_of_a_share_is_about_its_own_runs(tmp_path):
    toml = TINY.replace("learning_rate = 0.05", "learning_rate = 1e30")
    study = study_file(tmp_path / "study", toml.replace("epochs = 3", "epochs = 1"))
    store = tmp_path / "store"
    done = calibench("run", study, "--store", store, "--shard", "1/3")
    assert done.code == 1, done.err
    assert "diverged" in done.err
    done = calibench("run", study, "--store", store, "--shard", "3/3")
    assert done.code == 0, "it has no run, whatever became of others"


PREPARE = """
import sys, time
from pathlib import Path
from calibench.lab.store import Store

folder = Path(sys.argv[1])
(folder / f"ready-{sys.argv[2]}").touch()
for number in range(int(sys.argv[3])):
    while not (folder / f"go-{number}").exists():
        time.sleep(0.0005)
    study = {"name": "x", "spec": {}, "runs": ["a" * 4000]}
    store = Store.prepared(folder / f"store-{number}", study, "name = 'x'")
    assert store.study()["runs"] == study["runs"]
    assert store.toml() == "name = 'x'"
"""


def test_many_processes_make_one_store_at_the_same_moment(tmp_path):
    number, times = 6, 25
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE, tmp_path, str(index), str(times)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(number)
    ]
    while len(list(tmp_path.glob("ready-*"))) < number:
        assert all(process.poll() is None for process in processes)
    for each in range(times):
        (tmp_path / f"go-{each}").touch()
    talks = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * number, talks
    for each in range(times):
        names = {path.name for path in (tmp_path / f"store-{each}").iterdir()}
        assert names == {"study.json", "study.toml", "lock"}


def test_a_study_that_stands_in_its_store_is_not_written_again(tmp_path):
    study = {"name": "x", "spec": {}, "runs": []}
    Store.prepared(tmp_path / "s", study, "toml")
    files = [tmp_path / "s" / name for name in ("study.toml", "study.json")]
    before = [path.stat().st_mtime_ns for path in files]
    Store.prepared(tmp_path / "s", study, "toml")
    assert before == [path.stat().st_mtime_ns for path in files]
    Store.prepared(tmp_path / "s", study | {"runs": ["r"]}, "toml")
    grown = json.loads(Path(tmp_path / "s" / "study.json").read_text())
    assert grown["runs"] == ["r"]

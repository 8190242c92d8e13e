"""A run that is killed anywhere and started again ends in the same bytes."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calibench import cli
from calibench.lab.study import run_process
from command_line import TINY, calibench, results, seconds_here, study_file

STUDY = TINY.replace("epochs = 3", "epochs = 6").replace("260", "700")
DEADLINE = 120


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_file(tmp_path_factory.mktemp("study"), STUDY)


@pytest.fixture(scope="module")
def uninterrupted(study, tmp_path_factory):
    store = tmp_path_factory.mktemp("whole") / "store"
    done = calibench("run", study, "--store", store, "--workers", 2)
    assert done.code == 0, done.err
    return results(store)


def test_the_number_of_workers_changes_no_bit(study, uninterrupted, tmp_path):
    done = calibench("run", study, "--store", tmp_path / "store", "--workers", 1)
    assert done.code == 0, done.err
    assert results(tmp_path / "store") == uninterrupted


def driver(study, store, log):
    """Be `calibench run`, in a process group of its own."""
    os.setsid()
    run_process.process_context = lambda: multiprocessing.get_context("fork")
    with Path(log).open("a") as sys.stderr:
        cli.main(["run", str(study), "--store", str(store), "--workers", "2"])


def started(study, store):
    """Start `calibench run` from a server that has imported torch: no seconds lost."""
    context = run_process.process_context()
    log = store.with_name("log")
    process = context.Process(target=driver, args=(study, store, log))
    process.start()
    # A worker of a driver that was killed before may still commit an epoch: wait for
    # the process itself, too.
    while process.is_alive() and os.getpgid(process.pid) != process.pid:
        time.sleep(0.001)
    return process


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_instants_it_ends_in_the_same_bytes(
    study, uninterrupted, tmp_path, seed
):
    store = tmp_path / "store"
    rng = random.Random(seed)  # noqa: S311 - when to kill, no secret
    kills = 0
    while kills < 5:
        process = started(study, store)
        wait_for_an_epoch(process.is_alive, store, count_epochs(store))
        time.sleep(rng.uniform(0, 0.1))
        if not process.is_alive():
            break
        # Alternately the driver alone, and the driver with all its workers.
        if (kills + seed) % 2:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    assert kills >= 2, (tmp_path / "log").read_text()
    done = calibench("run", study, "--store", store)
    assert done.code == 0, done.err
    assert results(store) == uninterrupted


def test_asked_to_stop_twice_it_exits_75_soon_and_goes_on_later(
    study, uninterrupted, tmp_path
):
    """The real thing: a process of its own, which starts its workers by itself."""
    store = tmp_path / "store"
    process = subprocess.Popen(
        [sys.executable, "-m", "calibench", "run", study, "--store", store],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    wait_for_an_epoch(lambda: process.poll() is None, store, 0)
    asked = time.monotonic()
    process.terminate()
    time.sleep(0.05)
    process.terminate()
    out, talk = process.communicate(timeout=30)
    assert process.returncode == 75, talk
    assert time.monotonic() - asked < seconds_here(5)
    assert out == ""
    assert "Run the same command again" in talk
    assert "Traceback" not in talk
    assert count_epochs(store) < 12, "it was stopped, not finished"
    done = calibench("run", study, "--store", store)
    assert done.code == 0, done.err
    assert results(store) == uninterrupted


def test_a_worker_whose_driver_was_killed_stops_by_itself(study, tmp_path):
    store = tmp_path / "store"
    process = started(study, store)
    wait_for_an_epoch(process.is_alive, store, 0)
    process.kill()
    process.join()
    group = process.pid
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    else:
        pytest.fail("a worker outlived its driver for 10 seconds")


def count_epochs(store):
    return sum(
        path.read_text().count('"event":"epoch"')
        for path in store.glob("runs/*/journal.jsonl")
    )


def wait_for_an_epoch(is_alive, store, before):
    deadline = time.monotonic() + DEADLINE
    while count_epochs(store) <= before and is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)

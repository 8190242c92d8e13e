"""One run on two ranks: the result of one, through any interruption."""

import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from calibench import cli
from calibench.lab.store import Store
from calibench.lab.study import ranked_run, run_process
from command_line import (
    TINY,
    calibench,
    copied,
    refused,
    results,
    seconds_here,
    study_file,
    unfinish,
)

STUDY = (
    TINY.replace("epochs = 3", "epochs = 6")
    .replace("260", "700")
    .replace("learning_rate = 0.05", "learning_rate = 0.01")
    .split("[[loss]]")[0]
    + '[[loss]]\nkind = "mmce"\nweight = 1\n'
)
DEADLINE = 120


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_file(tmp_path_factory.mktemp("study"), STUDY)


def driver(study, store):
    """Be `calibench run --ranks 2`, in a process group of its own."""
    os.setsid()
    forked = multiprocessing.get_context("fork")
    run_process.process_context = lambda: forked
    ranked_run._context = lambda: forked
    with store.with_name("log").open("a") as sys.stderr:
        cli.main(["run", str(study), "--store", str(store), "--ranks", "2"])


def started(study, store):
    context = run_process.process_context()
    process = context.Process(target=driver, args=(study, store))
    process.start()
    return process


def finished(study, store):
    process = started(study, store)
    process.join(DEADLINE)
    assert process.exitcode == 0, store.with_name("log").read_text()
    return results(store)


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory):
    store = tmp_path_factory.mktemp("whole") / "store"
    finished(study, store)
    return store


def logits(folder, epoch):
    columns = folder.predictions(epoch)
    return np.stack([columns[name] for name in columns if name.startswith("logit_")])


def test_two_ranks_have_the_result_of_one_process(study, whole, tmp_path):
    done = calibench("run", study, "--store", tmp_path / "store")
    assert done.code == 0, done.err
    (one,), (two,) = Store(tmp_path / "store").runs(), Store(whole).runs()
    assert two.manifest()["fingerprint"]["ranks"] == "2"
    assert one.manifest()["fingerprint"]["ranks"] == "1"
    assert one.manifest()["run"] == two.manifest()["run"]
    # Of one epoch: training multiplies a difference in the last bit by hundreds in
    # every further one, whatever made it.
    expected = logits(one, 1)
    assert 0 < np.abs(logits(two, 1) - expected).max() < 1e-4 * np.ptp(expected)
    for row, other in zip(one.rows(1), two.rows(1), strict=True):
        assert row.keys() == other.keys()
        for name in ("error_rate", "mean_loss", "nll", "top_label_ece"):
            if row.get(name) is not None:
                assert row[name] == pytest.approx(other[name], abs=1e-4), name


def test_stopped_killed_and_left_alone_it_ends_in_the_same_bytes(
    study, whole, tmp_path
):
    store = tmp_path / "store"
    process = running(study, store, epochs=1)
    asked = time.monotonic()
    process.terminate()
    process.join(DEADLINE)
    assert process.exitcode == 75, (tmp_path / "log").read_text()
    assert time.monotonic() - asked < seconds_here(5)

    process = running(study, store, epochs=2)
    killed = time.monotonic()
    os.kill(ranks_of(process)[-1], signal.SIGKILL)
    process.join(DEADLINE)
    assert process.exitcode == 1
    assert time.monotonic() - killed < seconds_here(10)
    (folder,) = Store(store).runs()
    assert "of 2 was killed by signal 9; run again to resume." in folder.failure()

    process = running(study, store, epochs=3)
    process.kill()
    process.join()
    wait_for(lambda: not group_of(process.pid))
    assert finished(study, store) == results(whole)


def test_another_number_of_ranks_is_another_fingerprint(study, whole, tmp_path):
    (folder,) = copied(whole, tmp_path / "store").runs()
    unfinish(folder, 4)
    words = refused(7, "run", study, "--store", tmp_path / "store")
    assert "ranks: 2 -> 1" in words or "ranks: 2 -> 1" in folder.failure()


def test_what_cannot_be_is_refused_before_anything_starts(study, tmp_path):
    store = tmp_path / "store"
    words = refused(2, "run", study, "--store", store, "--ranks", 3)
    assert "batch_size is 50, which 3 ranks cannot share equally" in words
    words = refused(2, "run", study, "--store", store, "--ranks", 2, "--step=compiled")
    assert "--ranks 2 takes eager steps" in words
    assert not store.exists()


def running(study, store, *, epochs):
    """Return a driver whose run has committed so many epochs, and has more to do."""
    process = started(study, store)
    wait_for(lambda: count_epochs(store) >= epochs or not process.is_alive())
    assert process.is_alive(), (store.with_name("log")).read_text()
    return process


def wait_for(is_so):
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count_epochs(store):
    return sum(
        json.loads(line)["event"] == "epoch"
        for path in store.glob("runs/*/journal.jsonl")
        for line in path.read_text().splitlines(keepends=True)
        if line.endswith("\n")
    )


def group_of(pid):
    """Return the processes of a process group that are not ending, by Linux's account.

    In the order in which they were begun.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, group = path.read_text().rpartition(") ")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(group) == pid and state not in "ZX":
            found.append((int(path.parent.name), int(parent)))
    return sorted(found)


def ranks_of(process):
    """Return the grandchildren of a driver: its worker's ranks."""
    group = group_of(process.pid)
    workers = {pid for pid, parent in group if parent == process.pid}
    return [pid for pid, parent in group if parent in workers]

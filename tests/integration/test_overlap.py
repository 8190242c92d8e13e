"""Epochs stored while the next trains: the same bytes, and nothing lost."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from calibench.errors import InterruptedRunError, ResourceError
from calibench.lab.store import Store, journal, run_folder
from calibench.lab.study import execute as module
from calibench.lab.study import local_runs, run_process
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import execute
from calibench.lab.study.load import load_study
from calibench.lab.study.prepared_run import PreparedRun
from command_line import TINY, calibench, results, study_file

EPOCHS = 5
# AdaFocal learns from the selection split before the next epoch may begin.
STUDY = (
    TINY.partition("[[loss]]")[0].replace("epochs = 3", f"epochs = {EPOCHS}")
    + '[[loss]]\nkind = "adafocal"\n'
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_file(tmp_path_factory.mktemp("study"), STUDY)


@pytest.fixture(scope="module")
def new_store(study):
    def made(path):
        spec = load_study(study)
        runs = [run.run_id for run in spec.runs()]
        content = {"name": spec.name, "spec": spec.to_dict(), "runs": runs}
        return Store.prepared(path, content, study.read_text())

    return made


@pytest.fixture(scope="module")
def one_after_the_other(new_store, tmp_path_factory):
    """What a run leaves that stores every epoch before the next begins."""
    path = tmp_path_factory.mktemp("serial") / "store"
    return results(carried_out(new_store(path), spare_core=False).path)


def carried_out(store, *, spare_core=True, is_stopping=lambda: False):
    conditions = Conditions(data=store.path, device="cpu", spare_core=spare_core)
    (folder,) = store.runs()
    execute(store, folder.run_id, conditions, is_stopping=is_stopping)
    return store


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def epochs_of(store):
    return store.runs()[0].history().epochs


def test_overlapped_or_not_a_run_leaves_the_same_bytes(
    new_store, one_after_the_other, tmp_path, monkeypatch
):
    ends = []
    store_epoch = module._store

    def noted(*arguments):
        store_epoch(*arguments)
        ends.append(f"stored {arguments[-1].epoch.index}")

    train = PreparedRun.epochs

    def slowly(run, *arguments):
        for epoch in train(run, *arguments):
            # What is stored beside the training of this epoch has time to end.
            before = f"stored {epoch.index - 1}"
            wait_until(lambda before=before: before in ["stored 0", *ends])
            ends.append(f"trained {epoch.index}")
            yield epoch

    monkeypatch.setattr(module, "_store", noted)
    monkeypatch.setattr(PreparedRun, "epochs", slowly)
    store = carried_out(new_store(tmp_path / "beside"))
    assert results(store.path) == one_after_the_other
    assert ends[:4] == ["trained 1", "stored 1", "trained 2", "stored 2"]


def test_the_weights_that_are_stored_are_those_of_the_epoch(
    new_store, one_after_the_other, tmp_path, monkeypatch
):
    """Even where the next epoch has been trained before they are written."""
    trained, train = [0], PreparedRun.epochs

    def counted(run, *arguments):
        for epoch in train(run, *arguments):
            trained.append(epoch.index)
            yield epoch

    store_epoch = module._store

    def late(*arguments):
        index = arguments[-1].epoch.index
        wait_until(lambda: trained[-1] >= min(index + 1, EPOCHS))
        store_epoch(*arguments)

    monkeypatch.setattr(PreparedRun, "epochs", counted)
    monkeypatch.setattr(module, "_store", late)
    store = carried_out(new_store(tmp_path / "beside"))
    assert results(store.path) == one_after_the_other


def test_a_stop_waits_for_the_epoch_that_is_being_stored(
    new_store, one_after_the_other, tmp_path, monkeypatch
):
    store = new_store(tmp_path / "store")
    begun, store_epoch = [], module._store

    def noted(*arguments):
        begun.append(1)
        store_epoch(*arguments)

    monkeypatch.setattr(module, "_store", noted)
    with pytest.raises(InterruptedRunError):
        carried_out(store, is_stopping=lambda: len(begun) >= 2)
    assert len(begun) < EPOCHS
    assert len(epochs_of(store)) == len(begun), "what had begun was finished"
    assert results(carried_out(store).path) == one_after_the_other


def test_a_commit_that_fails_stops_the_training_with_its_error(
    new_store, one_after_the_other, tmp_path, monkeypatch
):
    store = new_store(tmp_path / "store")
    write = run_folder.write_bytes

    def full(path, content, **options):
        if path.name == "epoch-0002.pt":
            message = f"{path}: No space left on device."
            raise ResourceError(message)
        return write(path, content, **options)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_bytes", full)
        with pytest.raises(ResourceError, match="No space left"):
            carried_out(store)
    assert epochs_of(store) == (1,)
    assert results(carried_out(store).path) == one_after_the_other


def killed(path, number):
    """Carry out the run and be killed in the background commit of an epoch."""
    append, count = journal.append_line, [0]

    def appending(*arguments):
        count[0] += 1  # the first record is of the beginning
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        append(*arguments)

    journal.append_line = appending
    carried_out(Store(path))


@pytest.mark.parametrize("number", [2, 4])
def test_killed_while_an_epoch_is_stored_it_ends_in_the_same_bytes(
    new_store, one_after_the_other, tmp_path, number
):
    store = new_store(tmp_path / "store")
    context = run_process.process_context()
    process = context.Process(target=killed, args=(store.path, number))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert epochs_of(store) == tuple(range(1, number - 1))
    assert results(carried_out(store).path) == one_after_the_other


def test_workers_that_leave_a_core_free_are_told_so(study, tmp_path, monkeypatch):
    cores = len(os.sched_getaffinity(0))
    told = []
    started = local_runs._Worker.started

    def noted(store, run_id, conditions):
        told.append(conditions.overlap)
        return started(store, run_id, conditions)

    monkeypatch.setattr(local_runs._Worker, "started", noted)
    for workers in (1, cores):
        store = tmp_path / str(workers)
        done = calibench("run", study, "--store", store, "--workers", workers)
        assert done.code == 0, done.err
    assert told == [cores > 1, False]


def test_on_a_gpu_a_core_is_always_free():
    conditions = Conditions(data=Path(), device="cpu")
    assert not conditions.overlap
    assert replace(conditions, device="cuda").overlap

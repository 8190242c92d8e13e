"""A run that fails says why, and stops no other."""

import os
import signal

import pytest

from calibench.errors import IntegrityError, InterruptedRunError, LockedError
from calibench.lab.study import run, run_process, work
from calibench.lab.study.conditions import Conditions
from command_line import TINY, calibench, refused, results, study_file, unfinish


def test_a_loss_that_diverges_stops_its_run_and_no_other(tmp_path):
    toml = TINY + '[[loss]]\nkind = "lp_norm"\nalpha = 1e30\nname = "too_strong"\n'
    study = study_file(tmp_path, toml)
    store = tmp_path / "s"
    done = calibench("run", study, "--store", store)
    assert done.code == 1
    assert done.err.count(": finished") == 2
    (line,) = (line for line in done.err.splitlines() if "diverged" in line)
    assert "too_strong" in line
    assert "epoch 1: the training loss is " in line
    rows = calibench("status", store, "--json").json
    assert [row["state"] for row in rows] == ["finished", "finished", "diverged"]
    assert rows[2]["reason"] in line
    # Not 0, which would be perfect: there is nothing to give.
    assert rows[2]["test_error_rate"] is None
    again = calibench("run", study, "--store", store)
    assert again.code == 1, "what diverged is not mended by running it again"
    assert "3 of 3 runs are done" in again.err
    assert calibench("verify", store, "--replay", 0).code == 0
    assert calibench("score", store).code == 0
    assert calibench("report", store).code == 0


def test_a_run_that_diverges_later_keeps_its_epochs(tmp_path):
    """Its rate is 0 in epoch 1 and far too high from epoch 2 on."""
    toml = TINY.replace(
        "learning_rate = 0.05",
        'learning_rate = 1e30\nschedule = {kind = "one_cycle", peak = 0.999}\n'
        "batch_size = 200",
    ).replace("batch_size = 50\n", "")
    done = calibench("run", study_file(tmp_path, toml), "--store", tmp_path / "s")
    assert done.code == 1
    rows = calibench("status", tmp_path / "s", "--json").json
    assert {(row["state"], row["epoch"]) for row in rows} == {("diverged", 1)}
    assert all(row["test_error_rate"] is not None for row in rows)
    assert all("epoch 2: " in row["reason"] for row in rows)


def test_a_run_that_failed_is_tried_again_and_then_nothing_of_it_is_left(
    store, tiny_store
):
    first, second = store.runs()
    for folder in (first, second):
        unfinish(folder, epochs=2)
    (first.path / "lock").unlink()
    (first.path / "lock").mkdir()
    command = ("run", store.path / "study.toml", "--store", store.path)
    told = refused(4, *command)
    assert f"{first.run_id}: failed: {first.path / 'lock'}: Is a directory" in told
    assert f"{second.run_id}: finished" in told
    rows = calibench("status", store.path, "--json").json
    assert [row["state"] for row in rows] == ["failed", "finished"]
    assert rows[0]["reason"].endswith("lock: Is a directory")
    (first.path / "lock").rmdir()
    assert calibench(*command).code == 0
    assert results(store.path) == results(tiny_store)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_before_the_first_run_it_starts_none(
    tmp_path, monkeypatch, number
):
    real = run.load_study

    def load_study(path, **options):
        os.kill(os.getpid(), number)
        return real(path, **options)

    monkeypatch.setattr(run, "load_study", load_study)
    before = signal.getsignal(number)
    told = refused(75, "run", study_file(tmp_path), "--store", tmp_path / "s")
    assert told == (
        "interrupted; everything committed is kept. Run the same command again.\n"
    )
    assert signal.getsignal(number) is before
    rows = calibench("status", tmp_path / "s", "--json").json
    assert [row["state"] for row in rows] == ["waiting", "waiting"]


def test_asked_to_stop_when_all_is_done_it_is_done(store, monkeypatch):
    real = run.load_study

    def load_study(path, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(path, **options)

    monkeypatch.setattr(run, "load_study", load_study)
    done = calibench("run", store.path / "study.toml", "--store", store.path)
    assert (done.code, done.err) == (0, "2 of 2 runs are done.\n")


FAILURES = {
    "a loss of the user's": (ValueError("boom"), 1, "ValueError: boom"),
    "an interrupt": (InterruptedRunError("stopped."), 75, None),
    "the lock": (LockedError("another process"), 6, None),
    "damage": (IntegrityError("x.pt: damaged"), 5, "x.pt: damaged"),
    "memory": (MemoryError(), 4, "out of memory. Lower batch_size or --workers."),
    "the disk": (OSError(28, "No space left", "a/b"), 4, "a/b: No space left"),
    "the disk, somewhere": (OSError(28, "No space left"), 4, "No space left"),
    "an error without words": (RuntimeError(), 1, "RuntimeError"),
}


@pytest.mark.parametrize(
    ("error", "code", "reason"), FAILURES.values(), ids=FAILURES.keys()
)
def test_a_worker_notes_why_it_failed(store, monkeypatch, error, code, reason):
    folder = store.runs()[0]
    unfinish(folder, epochs=2)

    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr(work, "execute", fails)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        run_process._carry_out(
            store.path, folder.run_id, Conditions(data=store.path), {}
        )
    assert caught.value.code == code
    assert signal.getsignal(signal.SIGTERM) is before
    row = calibench("status", store.path, "--json").json[0]
    if reason is None:
        assert not (folder.path / "failure.json").exists()
        assert row["state"] == "running"
    else:
        assert (row["state"], row["reason"]) == ("failed", reason)


@pytest.mark.parametrize(
    ("outcomes", "failures", "code"),
    [
        (["finished", "finished"], set(), 0),
        (["finished", "diverged"], set(), 1),
        (["finished", "failed"], {4}, 4),
        (["failed", "failed"], {5, 7}, 1),
        (["diverged", "failed"], {5}, 1),
        ([], set(), 0),
    ],
)
def test_the_exit_code_of_a_study(outcomes, failures, code):
    assert run._exit_code(outcomes, failures) == code

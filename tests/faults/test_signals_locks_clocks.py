"""Asked to stop during any operation, started eight times at once, on a mad clock."""

import os
import random
import signal
import time

import pytest

from calibench.errors import LockedError
from calibench.lab.store import RunFolder
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import execute
from calibench.lab.study.stop_request import StopRequest
from faults.children import ACCIDENT, ending, forget_connection
from faults.disk import CHANGES, watched
from faults.judging import RUN
from faults.runs import EXAMPLES, carry_on, epoch_files, tree

TEN_YEARS = 10 * 365.25 * 86400


class Bell:
    """Asks this process to stop, twice, before one of the changes."""

    def __init__(self, number):
        self.left = number

    def __call__(self, operation, whole, _):
        if operation.kind in CHANGES:
            self.left -= 1
            if self.left == -1:
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGTERM)
        return whole()


def test_asked_to_stop_during_any_operation_it_finishes_the_commit(
    small, trained, scratch
):
    operations, files = trained
    for number in range(7, len(operations), 29):
        store = small.prepared(scratch / f"store{number}")
        folder, log = store.runs()[0], scratch / "log"

        def work(store=store, folder=folder, number=number):
            stop = StopRequest()
            with stop.listening(), watched(store.path, Bell(number)):
                here = Conditions(data=scratch)
                execute(store, folder.run_id, here, is_stopping=stop)

        started = time.monotonic()
        code = ending(work, log)
        # In the last epoch there may be nothing left to stop.
        assert code in {75, 0}, (number, code, log.read_text())
        assert time.monotonic() - started < 30, "5 s on an idle machine"
        assert folder.verify() == []
        begun = {each.name for each in (folder.path / "metrics").glob("[!.]*")}
        assert len(begun) == folder.history().last_epoch, "no half of a commit"
        assert not list(folder.path.rglob(".*.unfinished"))
        assert ending(lambda store=store: small.run(store), log) == 0
        assert tree(store.path) == files


@pytest.mark.parametrize("repetition", range(3))
def test_of_eight_simultaneous_starts_one_is_the_owner(cheap, scratch, repetition):
    assert owners(scratch) == (1, 7)
    folder = RunFolder(scratch / "root" / RUN)
    with folder.owned(patience=0):
        assert folder.history().epochs == (1,)
    carry_on(folder)
    assert tree(scratch / "root") == cheap.files


def owners(scratch):
    """Start a run eight times at once; return how many worked and how many may not."""
    root = scratch / "root"
    root.mkdir()
    folder = RunFolder(root / RUN)
    gate, opened = os.pipe()
    tried, counted = os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            code = ACCIDENT
            try:
                os.close(opened)
                os.read(gate, 1)
                code = _try_to_own(folder, tried, counted)
            finally:
                os._exit(code)
        children.append(child)
    os.close(gate)
    os.close(opened)
    codes = [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in children]
    os.close(tried)
    os.close(counted)
    assert set(codes) <= {0, LockedError.exit_code}, codes
    return codes.count(0), codes.count(LockedError.exit_code)


def _try_to_own(folder, tried, counted):
    forget_connection()
    try:
        with folder.owned(patience=0):
            folder.begin({"run": "some"}, EXAMPLES)
            folder.commit_epoch(1, epoch_files(1))
            for _ in range(7):  # until every other has tried
                os.read(tried, 1)
    except LockedError as error:
        os.write(counted, b"x")
        return error.exit_code
    return 0


def test_a_clock_that_jumps_by_ten_years_changes_nothing(small, trained, scratch):
    _, files = trained
    store, log = small.prepared(scratch / "store"), scratch / "log"

    def work():
        rng = random.Random(0)  # noqa: S311 - no secret
        real, real_ns = time.time, time.time_ns
        time.time = lambda: real() + rng.choice([-TEN_YEARS, 0, TEN_YEARS])
        time.time_ns = lambda: (
            real_ns() + int(rng.choice([-TEN_YEARS, TEN_YEARS]) * 1e9)
        )
        small.run(store)

    assert ending(work, log) == 0, log.read_text()
    assert tree(store.path) == files
    for path in store.path.rglob("*"):
        os.utime(path, (time.time() + TEN_YEARS, time.time() - TEN_YEARS))
    assert store.runs()[0].verify() == []
    assert ending(lambda: small.run(store), log) == 0
    assert tree(store.path) == files

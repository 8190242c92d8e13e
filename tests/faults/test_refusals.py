"""The system refuses an operation: a typed end that says where, and nothing is lost."""

import resource
import signal

import pytest

from calibench.lab.store import RunFolder
from faults.children import ending
from faults.disk import ShortWrites, watched
from faults.judging import RUN
from faults.refusing import CODES, RefusedRun, count_operations
from faults.runs import carry_on, tree


@pytest.fixture(scope="module")
def operations(memory):
    """How many operations a run asks for, reading among them."""
    (memory / "counted").mkdir()
    return count_operations(memory / "counted")


@pytest.mark.parametrize("first", [0, 1])
def test_a_refusal_of_any_operation_is_typed_and_loses_nothing(
    cheap, operations, scratch, first
):
    """Every second operation, once or from then on, with each code in turn."""
    run, codes = RefusedRun(scratch, cheap.files), list(CODES.values())
    for number in range(first, operations, 2):
        code, lasts = codes[number // 2 % len(codes)], number % 3 == 0
        assert run.refused(number, code, lasts=lasts) == "", (number, code, lasts)


def test_a_store_moved_away_during_a_run_is_not_begun_anew(cheap, operations, scratch):
    run = RefusedRun(scratch, cheap.files)
    # Its folders are there from the fifth operation on.
    for number in range(5, operations, 6):
        assert run.moved(number) == "", number


def test_a_system_that_writes_less_than_it_is_given_is_asked_again(cheap, scratch):
    with watched(scratch, ShortWrites()):
        carry_on(RunFolder(scratch / RUN))
    assert tree(scratch) == cheap.files


@pytest.mark.parametrize("size", [300, 12_000])
def test_a_limit_on_files_stops_a_run_that_trains(small, trained, scratch, size):
    """The real thing, DuckDB's writes included; RLIMIT_FSIZE is a disk's end."""
    _, files = trained
    store = small.prepared(scratch / "store")

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        small.run(store)

    log = scratch / "log"
    assert ending(limited, log) == 4, log.read_text()
    assert str(store.path) in log.read_text()
    folder = store.runs()[0]
    assert folder.verify() == []
    assert ending(lambda: small.run(store), log) == 0, log.read_text()
    assert tree(store.path) == files

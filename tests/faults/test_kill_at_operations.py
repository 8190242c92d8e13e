"""SIGKILL at every storage operation: nothing committed is lost, no byte differs."""

import pytest

from calibench.lab.store import RunFolder
from faults.judging import RUN, wrong_after
from faults.killing import CheapRun, TrainingRun, instants
from faults.runs import EXAMPLES


def test_a_kill_at_any_operation_loses_nothing(cheap, scratch):
    run = CheapRun(scratch, cheap.files)
    for instant in instants(cheap.operations):
        assert run.killed(instant) == "", instant


@pytest.mark.parametrize("second", [(0, False), (1, False), (4, True), (5, False)])
def test_a_kill_during_recovery_loses_nothing_either(cheap, scratch, second):
    run = CheapRun(scratch, cheap.files)
    for instant in instants(cheap.operations)[::5]:
        assert run.killed(instant, second) == "", (instant, second)


def test_a_kill_of_a_run_that_trains(small, trained, scratch):
    operations, files = trained
    run = TrainingRun(small, scratch, files)
    for instant in instants(operations)[3::20]:
        assert run.killed(instant) == "", instant


def test_another_byte_in_the_end_is_noticed(cheap, scratch):
    run = CheapRun(scratch, cheap.files | {"store/runs/run/more": b""})
    assert "other bytes" in run.killed((20, False))


def test_what_a_kill_leaves_half_written_is_swept_up(cheap, scratch):
    folder = RunFolder(scratch / RUN)
    with folder.owned():
        folder.begin({"run": "some"}, EXAMPLES)
    # Named after a process that is gone, it would never be taken over.
    (folder.path / ".table.12345.unfinished").write_bytes(b"half")
    assert wrong_after(folder, (), cheap.files) == ""

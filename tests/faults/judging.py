"""What is wrong with a run after a fault, and after it was carried on."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibench.errors import CalibenchError
from calibench.lab.store import RunFolder
from faults.disk import Operation, Recorder, watched
from faults.power_loss import Disk, crash_states, lay_out
from faults.runs import carry_on, tree

RUN = Path("store/runs/run")


@dataclass(frozen=True)
class Recorded:
    """An undisturbed run that costs nothing: its operations, promises and files."""

    root: Path
    operations: list[Operation]
    marks: list[tuple[int, Any]]
    files: dict[str, bytes]

    def acknowledged(self, done: int) -> set[int]:
        """The epochs that were told as committed after so many operations."""
        return {epoch for count, epoch in self.marks if count <= done}


def recorded(
    root: Path, forgets: Callable[[Operation], bool] = lambda _: False
) -> Recorded:
    """Carry out a run below `root` and note what it asks of the disk."""
    recorder = Recorder(forgets)
    with watched(root, recorder):
        carry_on(RunFolder(root / RUN), recorder.mark)
    return Recorded(root, recorder.operations, recorder.marks, tree(root))


def recorded_after_a_kill(run: Recorded, done: int, root: Path) -> Recorded:
    """A run that was killed after `done` operations, and the same run resumed.

    What a kill leaves in the system's memory is there for the next process, and not
    on disk for that.
    """
    disk = Disk(run.root)
    for operation in run.operations[:done]:
        disk.do(operation)
    shutil.rmtree(root, ignore_errors=True)
    lay_out(disk.newest(), root)
    again = recorded(root)
    moved = [operation.moved(run.root, root) for operation in run.operations[:done]]
    marks = [(count + done, epoch) for count, epoch in again.marks]
    marks += [mark for mark in run.marks if mark[0] <= done]
    return Recorded(root, moved + again.operations, marks, run.files)


def wrong_after(
    folder: RunFolder, acknowledged: Iterable[int], whole: dict[str, bytes]
) -> str:
    """Return what is lost or wrong; nothing where all is as promised."""
    try:
        history = folder.history()
        lost = set(acknowledged) - set(history.epochs)
        if lost:
            return f"lost: epochs {sorted(lost)}"
        problems = folder.verify()
        if problems:
            return f"wrong: {problems[0]}"
        carry_on(folder)
        problems = folder.verify()
    except (CalibenchError, OSError, LookupError, ValueError) as error:
        return f"wrong: {type(error).__name__}: {error}"
    if problems:
        return f"wrong in the end: {problems[0]}"
    root = folder.path.parents[2]
    return "" if tree(root) == whole else "wrong: other bytes than undisturbed"


def bad_states(
    run: Recorded,
    scratch: Path,
    *,
    first: int = 0,
    chosen: Callable[[int], bool] = lambda _: True,
) -> Iterator[tuple[int, str]]:
    """Judge the crash states of a recorded run; yield each instant and what is wrong.

    A state that two instants share is judged once for each set of promised epochs.
    """
    judged: dict[Any, str] = {}
    number = 0
    for done, state in crash_states(run.root, run.operations, first=first):
        number += 1
        if not chosen(number):
            continue
        promised = run.acknowledged(done)
        key = (frozenset(promised), frozenset(state.items()))
        if key not in judged:
            place = scratch / "state"
            shutil.rmtree(place, ignore_errors=True)
            lay_out(state, place)
            judged[key] = wrong_after(RunFolder(place / RUN), promised, run.files)
            yield done, judged[key]


def summary(found: Sequence[tuple[int, str]]) -> tuple[int, int, int]:
    """Return how many were judged, how many lost something, how many went wrong."""
    lost = sum(words.startswith("lost") for _, words in found)
    wrong = sum(words.startswith("wrong") for _, words in found)
    return len(found), lost, wrong

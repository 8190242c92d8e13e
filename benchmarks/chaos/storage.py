"""Every fault of storage at every operation of a run, and every crash state.

    PYTHONPATH=src:tests python benchmarks/chaos/storage.py

Prints a Markdown table: fault, number injected, epochs lost, other wrong ends. Exits
with 1 if anything was lost or wrong where nothing may be. Takes minutes; `--training`
adds kills of a run that trains, at every operation.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from faults.disk import Operation, Recorder, watched
from faults.judging import bad_states, recorded, recorded_after_a_kill
from faults.killing import CheapRun, TrainingRun, instants
from faults.refusing import CODES, RefusedRun, count_operations
from faults.runs import SmallStudy, tree


def main() -> int:
    """Inject everything and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    room = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    folder = Path(tempfile.mkdtemp(dir=room if room.is_dir() else None)).resolve()
    try:
        bad = _all(folder, arguments.seed, with_training=arguments.training)
    finally:
        shutil.rmtree(folder)
    return int(bad > 0)


def _all(folder: Path, seed: int, *, with_training: bool) -> int:
    (folder / "whole").mkdir()
    whole = recorded(folder / "whole")
    deaths = instants(whole.operations)
    cheap = CheapRun(folder, whole.files)
    rng = random.Random(seed)  # noqa: S311 - no secret
    twice = [(one, (rng.randrange(30), rng.random() < 0.3)) for one in deaths]
    _tell("fault", ("injected", "lost", "wrong"))
    bad = _tell("SIGKILL at an operation", _counted(map(cheap.killed, deaths)))
    bad += _tell(
        "the same, and again during recovery",
        _counted(cheap.killed(*each) for each in twice),
    )
    if with_training:
        bad += _tell("SIGKILL at an operation of training", _trained(folder))
    bad += _tell("power loss", _counted(w for _, w in bad_states(whole, folder)))
    bad += _tell("SIGKILL, then power loss", _counted(_after_kills(whole, folder)))
    for name in ("all", "of files", "of folders"):
        root = folder / name.replace(" ", "_")
        root.mkdir()
        weak = recorded(root, lambda each, name=name: _is_forgotten(each, name))
        states = bad_states(weak, folder)
        _tell(f"power loss, fsync {name} left out", _counted(w for _, w in states))
    bad += _refusals(folder, whole.files)
    return bad


def _refusals(folder: Path, files: dict[str, bytes]) -> int:
    (folder / "count").mkdir()
    count, run = count_operations(folder / "count"), RefusedRun(folder, files)
    bad = 0
    for lasts in (False, True):
        found = [
            run.refused(number, code, lasts=lasts)
            for code in CODES.values()
            for number in range(count)
        ]
        when = "from an operation on" if lasts else "of one operation"
        bad += _tell(f"refusal {when}: {', '.join(CODES)}", _counted(found))
    moves = []
    for number in range(5, count):
        shutil.rmtree(folder / "elsewhere", ignore_errors=True)
        moves.append(run.moved(number))
    return bad + _tell("the store moved away during a run", _counted(moves))


def _trained(folder: Path) -> tuple[int, int, int]:
    study = SmallStudy(folder)
    store, recorder = study.prepared(folder / "undisturbed"), Recorder()
    with watched(store.path, recorder):
        study.run(store)
    run = TrainingRun(study, folder / "training", tree(store.path))
    run.scratch.mkdir()
    return _counted(map(run.killed, instants(recorder.operations)))


def _after_kills(whole, folder: Path) -> Iterable[str]:  # noqa: ANN001
    for done in range(len(whole.operations) + 1):
        again = recorded_after_a_kill(whole, done, folder / "again")
        yield from (words for _, words in bad_states(again, folder, first=done))


def _is_forgotten(operation: Operation, which: str) -> bool:
    if operation.kind != "sync":
        return False
    return which == "all" or operation.path.is_dir() == (which == "of folders")


def _counted(found: Iterable[str]) -> tuple[int, int, int]:
    said = list(found)
    lost = sum(words.startswith("lost") for words in said)
    for words in {words for words in said if words}:
        sys.stderr.write(f"  {words[:300]}\n")
    return len(said), lost, sum(bool(words) for words in said) - lost


def _tell(what: str, counts: tuple[object, object, object]) -> int:
    print(f"| {what} | {' | '.join(map(str, counts))} |", flush=True)  # noqa: T201
    if what == "fault":
        print("|---|---|---|---|")  # noqa: T201
        return 0
    return int(counts[1]) + int(counts[2])  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main())

"""SIGKILL a run that trains at random instants, until it has ended, over and over.

    PYTHONPATH=src:tests python benchmarks/chaos/kills.py --kills 200 --seed 0

Each life is a fork of this process, which has torch loaded, and dies after a time drawn
up to a little more than an undisturbed run takes. After each kill: every epoch that the
journal had before is there, and every hash is right. A run that has ended has the bytes
of an undisturbed one. `--starts 50` also starts a run eight times at once, so often.
Prints a Markdown table; exit code 1 if anything was lost or wrong.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from faults.children import forget_connection
from faults.runs import SmallStudy, tree
from faults.test_signals_locks_clocks import owners


def main() -> int:
    """Kill, resume, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--starts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    room = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    folder = Path(tempfile.mkdtemp(dir=room if room.is_dir() else None)).resolve()
    try:
        counts = _killed(folder, arguments.kills, random.Random(arguments.seed))  # noqa: S311
        several = _several_starts(folder, arguments.starts)
    finally:
        shutil.rmtree(folder)
    print(f"seed {arguments.seed}\n\n| what | number |\n|---|---|")  # noqa: T201
    for what, number in {**counts, **several}.items():
        print(f"| {what} | {number} |")  # noqa: T201
    return int(counts["epochs lost"] + counts["wrong"] > 0)


def _killed(folder: Path, kills: int, rng: random.Random) -> dict[str, int]:
    study = SmallStudy(folder)
    whole = study.prepared(folder / "whole")
    study.run(whole)
    # In a fork, as every life is: the first run here also warmed torch up.
    seconds = _seconds(study, study.prepared(folder / "timed"))
    files = tree(whole.path)
    counts = dict.fromkeys(("kills", "runs ended", "epochs lost", "wrong"), 0)
    counts["kills with a commit under way"] = 0
    while counts["kills"] < kills:
        shutil.rmtree(folder / "store", ignore_errors=True)
        store = study.prepared(folder / "store")
        run, is_over = store.runs()[0], False
        while not is_over and counts["kills"] < kills:
            before = run.history().last_epoch
            is_over = _life(study, store, rng.uniform(0, 1.1 * seconds))
            counts["kills"] += not is_over
            counts["epochs lost"] += max(0, before - run.history().last_epoch)
            counts["wrong"] += bool(run.verify())
            counts["kills with a commit under way"] += bool(
                list(run.path.rglob(".*.unfinished"))
            )
        if is_over:
            counts["runs ended"] += 1
            counts["wrong"] += tree(store.path) != files
    return counts


def _seconds(study: SmallStudy, store) -> float:  # noqa: ANN001
    start = time.monotonic()
    _life(study, store, None)
    return time.monotonic() - start


def _life(study: SmallStudy, store, seconds: float | None) -> bool:  # noqa: ANN001
    """Let a fork carry on with a run, and kill it after a while; whether it ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            forget_connection()
            study.run(store)
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in {0, -signal.SIGKILL}:
        message = f"a life ended with {code}"
        raise RuntimeError(message)
    return code == 0


def _several_starts(folder: Path, repetitions: int) -> dict[str, int]:
    if not repetitions:
        return {}
    one_owner = 0
    for number in range(repetitions):
        root = folder / f"starts{number}"
        root.mkdir()
        one_owner += owners(root) == (1, 7)
    return {"eight starts at once": repetitions, "with one owner": one_owner}


if __name__ == "__main__":
    sys.exit(main())

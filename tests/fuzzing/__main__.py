"""Fuzz the readers of prediction files, and print what came of it as Markdown.

    cd tests && python -m fuzzing --files 100000

Runs one worker at a time, a new one every 2,500 files. Exit code 1 if there is a
finding; `--kinds csv --first 123 --files 1` repeats number 123 of a kind.
"""

import argparse
import json
import os
import platform
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from fuzzing.cases import KINDS
from fuzzing.worker import MOST_MEMORY

AT_A_TIME = 2500
# A worker stops what takes 2 s by itself, if it can be stopped.
_GIVE_UP = 20.0
_OUTCOMES = ("read", "refused", "exception", "hang", "crash")


def main() -> int:
    arguments = _parsed()
    start, done = time.monotonic(), 0
    found: list[dict] = []
    each = -(-arguments.files // len(arguments.kinds))
    for kind in arguments.kinds:
        first = arguments.first
        for line in _judged(kind, range(first, first + each), arguments.seed):
            found.append({"kind": kind} | line)
            done += 1
            if done % 1000 == 0:
                _talk(f"{done:,} files, {time.monotonic() - start:.0f} s, {kind}")
    print(_summary(found, time.monotonic() - start, arguments.seed))  # noqa: T201
    return int(any(line["finding"] for line in found))


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzzing")
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _judged(kind: str, numbers: range, seed: int) -> Iterator[dict]:
    """The worker's lines, and one for each case that ended it."""
    at = numbers.start
    while at < numbers.stop:
        stop = min(at + AT_A_TIME, numbers.stop)
        for line in _lines(kind, at, stop, seed):
            at = line["number"] + 1
            yield line
        if at < stop:
            # The file after the last line is the one that it did not survive.
            yield {
                "number": at, "change": "", "outcome": "crash", "expected": "any",
                "finding": "the process ended, or had to be ended",
                "seconds": 0.0, "extra_mb": 0.0,
            }  # fmt: skip
            at += 1


def _lines(kind: str, start: int, stop: int, seed: int) -> Iterator[dict]:
    command = [sys.executable, "-m", "fuzzing.worker", kind, start, stop, seed]
    # Arrow's other pools reserve address space by the gigabyte.
    environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
        ) as worker,
    ):
        rest = b""
        while select.select([worker.stdout], [], [], _GIVE_UP)[0]:
            some = os.read(worker.stdout.fileno(), 2**16)
            if not some:
                break
            *lines, rest = (rest + some).split(b"\n")
            yield from map(json.loads, lines)
        worker.kill()
        worker.wait()
        words.seek(0)
        if said := words.read().decode(errors="replace").strip():
            _talk(said)


def _summary(found: list[dict], seconds: float, seed: int) -> str:
    kinds = list(dict.fromkeys(line["kind"] for line in found))
    heads = [*_OUTCOMES, "findings", "slowest, s", "memory, MB"]
    lines = [
        f"| | files | {' | '.join(heads)} |",
        "|---" * (len(heads) + 2) + "|",
        *(_row(kind, [x for x in found if x["kind"] == kind]) for kind in kinds),
        _row("all", found),
    ]
    bad = [line for line in found if line["finding"]]
    listed = [
        f"- {x['kind']} {x['number']} ({x['change']}): {x['finding']}" for x in bad
    ]
    known = Counter(line["expected"] for line in found)
    words = ", ".join(f"{count:,} {name}" for name, count in sorted(known.items()))
    return "\n".join(
        [
            *lines,
            "",
            f"Seed {seed}, {seconds:.0f} s on one core; known beforehand: {words}.",
            f"Address space bounded at {MOST_MEMORY >> 20} MB beyond the start.",
            f"Python {platform.python_version()}, numpy {np.__version__}, "
            f"pyarrow {pa.__version__}, commit {_commit()}.",
            *listed,
        ]
    )


def _row(kind: str, lines: list[dict]) -> str:
    outcomes = Counter(line["outcome"] for line in lines)
    counts = [len(lines), *(outcomes[name] for name in _OUTCOMES)]
    counts.append(sum(bool(line["finding"]) for line in lines))
    slowest = max((line["seconds"] for line in lines), default=0)
    extra = max((line["extra_mb"] for line in lines), default=0)
    cells = [*(f"{count:,}" for count in counts), f"{slowest:.2f}", f"{extra:.0f}"]
    return f"| {kind} | {' | '.join(cells)} |"


def _commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return asked.stdout.strip() or "unknown"


def _talk(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""A process that judges cases of one kind, under a bound on its memory.

    python -m fuzzing.worker KIND START STOP SEED

Prints a line of JSON for each. Whoever started it sees by their absence that it died.
"""

import gc
import json
import os
import resource
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

from fuzzing.cases import case_of
from fuzzing.judge import judge

# What a reader may take, beyond what the interpreter and its libraries do.
MOST_MEMORY = 512 * 2**20
# One in so many is evaluated as the command line does, noise floors included.
WHOLE_EVERY = 50
_WARM_UP = 40
_MOST_DESCRIPTORS = 8


def main(kind: str, start: int, stop: int, seed: int) -> None:
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory(prefix="fuzzing") as name:
        folder = Path(name)
        for number in range(_WARM_UP):
            judge(case_of(kind, number, seed), folder, whole=number % 8 == 0)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        limit = _address_space() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        opened = _descriptors()
        for number in range(start, stop):
            case = case_of(kind, number, seed)
            result = asdict(judge(case, folder, whole=number % WHOLE_EVERY == 0))
            result["finding"] = result["finding"] or _left_behind(opened)
            result["extra_mb"] = result.pop("peak_mb") - base
            line = {"number": number, "change": case.change, **result}
            print(json.dumps(line | {"expected": case.expected}), flush=True)  # noqa: T201


def _left_behind(opened: int) -> str:
    """What stays of a case: words on stderr, which is a file, or open descriptors."""
    if os.fstat(2).st_size:
        os.ftruncate(2, 0)
        return "wrote to stderr"
    if _descriptors() > opened + _MOST_DESCRIPTORS:
        gc.collect()
        if _descriptors() > opened + _MOST_DESCRIPTORS:
            return "left files open"
    return ""


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no paths are needed


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

"""A Parquet file of a billion predictions whose numbers are known, and one command.

    python benchmarks/billion_parquet.py FOLDER --groups 954 --workers 2

A row group has 2^20 rows: a probability of class 1 in float32 and a label in int8,
which Parquet stores in four bytes, not compressed, with page checksums. The confidences
are j / 64 for j = 33..64, each in 2^15 of the rows, shuffled; of those at c a share of
c^2 is right, so that the gap is c - c^2; every other row predicts class 0. Writes the
file, runs `calibench evaluate` on it as a process of its own, prints its time and its
largest memory, and each number beside its closed form. The file, 8 bytes a row, is
deleted at the end.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_LEVELS = np.arange(33, 65)
_OF = 64
_ROWS = 2**20


def main() -> None:
    """Write, evaluate, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--groups", type=int, default=10, help="of 2^20 rows each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one-pass", action="store_true")
    options = parser.parse_args()
    path = options.folder / "billion.parquet"
    started = time.perf_counter()
    write(path, options.groups)
    sys.stdout.write(
        f"{options.groups * _ROWS:,} rows, {path.stat().st_size:,} bytes, written in "
        f"{time.perf_counter() - started:.0f} s\n"
    )
    words = ["--json", "--workers", str(options.workers)]
    words += ["--one-pass"] if options.one_pass else []
    try:
        found = evaluated([str(path), *words])
    finally:
        path.unlink()
    sys.stdout.write("| | found | closed form | difference |\n|---|---|---|---|\n")
    for name, expected in closed_form().items():
        value = found[name]
        if value is not None:
            off = abs(value - float(expected))
            sys.stdout.write(
                f"| {name} | {value:.15g} | {float(expected):.15g} | {off:.1e} |\n"
            )


def write(path: Path, groups: int) -> None:
    """Write the file: the same row group, again and again."""
    table = row_group()
    options = {"use_dictionary": False, "write_page_checksum": True}
    with pq.ParquetWriter(path, table.schema, compression="none", **options) as writer:
        for _ in range(groups):
            writer.write_table(table, row_group_size=_ROWS)


def row_group() -> pa.Table:
    """2^20 rows in a fixed random order."""
    level = np.repeat(_LEVELS, _ROWS // len(_LEVELS))
    rank = np.tile(np.arange(_ROWS // len(_LEVELS)), len(_LEVELS))
    # Whole numbers of rows: 2^15 / 64^2 = 8.
    is_right = rank < 8 * level**2
    predicted = (rank + level) % 2
    prob = np.where(predicted == 1, level, _OF - level) / _OF
    label = np.where(is_right, predicted, 1 - predicted)
    order = np.random.default_rng(0).permutation(_ROWS)
    return pa.table(
        {
            "prob_1": prob[order].astype(np.float32),
            "label": label[order].astype(np.int8),
        }
    )


def evaluated(words: list[str]) -> dict[str, Any]:
    """What the command prints, by name; its time and memory are shown."""
    command = [sys.executable, "-m", "calibench", "evaluate", *words]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603
    if process.stdout is None:
        raise RuntimeError
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit(f"calibench evaluate failed: {status}")
    sys.stdout.write(
        f"{' '.join(['calibench evaluate', *words])}\n{wall:.0f} s of wall time, "
        f"{usage.ru_utime + usage.ru_stime:.0f} CPU s, "
        f"{usage.ru_maxrss / 1000:.0f} MB at most\n\n"
    )
    plain = json.loads(text)
    measured = {name: each["value"] for name, each in plain["metrics"].items()}
    return measured | {"n": plain["n"], "temperature": plain["temperature"]["value"]}


def closed_form() -> dict[str, Fraction | float]:
    """The numbers of the whole file."""
    levels = [Fraction(int(j), _OF) for j in _LEVELS]
    n = len(levels)
    gap = sum(c - c * c for c in levels) / n
    brier = sum(2 * c * c * (1 - c) ** 2 + 2 * (1 - c * c) * c * c for c in levels) / n
    nll = math.fsum(
        -float(c * c) * math.log(c) - float(1 - c * c) * math.log(1 - c)
        for c in levels
        if c < 1
    )
    return {
        "accuracy": sum(c * c for c in levels) / n,
        "confidence_gap": gap,
        "top_label_ece": gap,
        "top_label_ece_equal_mass": gap,
        "ece_sweep": gap,
        # Of both classes, levels up to 8 / 15 share the middle bin, and cancel.
        "classwise_ece": sum(c - c * c for c in levels if c > Fraction(8, 15)) / n,
        "top_k_ece": gap,
        "kth_class_ece": gap,
        "overconfidence": gap,
        "saturated_share": Fraction(1, n),
        "brier": brier,
        "nll": nll / n,
        "temperature": 1 / best_inverse(levels),
    }


def best_inverse(levels: list[Fraction]) -> float:
    """The u at which the NLL of u times the log-odds is lowest, by bisection."""
    odds = [(math.log(c / (1 - c)), float(c * c)) for c in levels if c < 1]
    low, high = 0.0, 10.0
    for _ in range(200):
        middle = (low + high) / 2
        slope = math.fsum(x * (1 / (1 + math.exp(-middle * x)) - a) for x, a in odds)
        low, high = (middle, high) if slope < 0 else (low, middle)
    return low


if __name__ == "__main__":
    main()

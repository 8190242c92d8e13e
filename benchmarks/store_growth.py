"""How reading a store grows with it: `status`, all metrics, one query over all epochs.

    OMP_NUM_THREADS=1 python benchmarks/store_growth.py [--runs 1000] [--epochs 200]

Makes a store of finished runs in a temporary folder and prints a Markdown table of the
median wall-clock and CPU seconds of `--rounds` interleaved rounds. The journals are
real, every seal checked; the metrics files of a run are one file under many names, so
that making the store does not take an hour. No logits are kept.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import duckdb

from calibench.lab.store import Store
from calibench.lab.store.canonical import canonical_json, digest
from calibench.lab.study.status import status_of

# Rows of an epoch as a study of ten classes writes them.
ROWS = [
    {"split": "train", "calibrator": "none", "n": 45_000, "error_rate": 0.05},
    *(
        {"split": split, "calibrator": calibrator, "n": n}
        | {f"metric_{k}": 0.123456789 + k for k in range(40)}
        | {"error_rate": 0.05, "top_label_ece": 0.02}
        for split, calibrator, n in (
            ("selection", "none", 2500),
            ("calibration", "none", 2500),
            ("test", "none", 10_000),
            ("test", "temperature", 10_000),
            ("test", "vector_scaling", 10_000),
            ("test", "dirichlet", 10_000),
        )
    ),
]
QUERY = """
    SELECT parse_path(filename)[-3] AS run, max(top_label_ece)
    FROM read_json('{}/runs/*/metrics/*.jsonl', filename = true)
    WHERE split = 'test' AND calibrator = 'none' GROUP BY run
"""


def made(path: Path, runs: int, epochs: int) -> Store:
    """Write a store of finished runs."""
    spec = {
        "seeds": list(range(runs)),
        "models": ["resnet18"],
        "loss": [{"kind": "cross_entropy", "name": "cross_entropy"}],
        "train": {"epochs": epochs},
    }
    names = [f"resnet18-cross_entropy-seed{k}-{k:08x}" for k in range(runs)]
    store = Store.prepared(path, {"name": "big", "spec": spec, "runs": names}, "")
    lines = "".join(canonical_json(row) + "\n" for row in ROWS).encode()
    files = {"manifest.json": "0" * 64, "examples.parquet": "0" * 64}
    records = [{"event": "begin", "files": files}]
    for epoch in range(1, epochs + 1):
        files = {
            f"metrics/epoch-{epoch:04d}.jsonl": sha256(lines).hexdigest(),
            f"checkpoints/epoch-{epoch:04d}.pt": "0" * 64,
        }
        records.append({"event": "epoch", "epoch": epoch, "files": files})
    records.append({"event": "end", "outcome": "finished"})
    journal = sealed(records)
    for folder in store.runs():
        (folder.path / "metrics").mkdir(parents=True)
        folder.journal.path.write_bytes(journal)
        # A file has at most some ten thousand names.
        shared = folder.path / "metrics" / "epoch-0001.jsonl"
        shared.write_bytes(lines)
        for epoch in range(2, epochs + 1):
            shared.with_name(f"epoch-{epoch:04d}.jsonl").hardlink_to(shared)
    return store


def sealed(records: list[dict]) -> bytes:
    """Return the lines that a journal would have."""
    previous, lines = "0" * 64, []
    for record in records:
        whole = record | {"previous": previous}
        previous = digest(whole)
        lines.append(canonical_json(whole | {"seal": previous}))
    return ("\n".join(lines) + "\n").encode()


def readings(store: Store, *, all_metrics: bool) -> dict[str, Callable[[], object]]:
    """Return what is timed, by its name."""
    found = {
        "`calibench status`": lambda: json.dumps(status_of(store.path)),
        "the histories of all runs": lambda: [f.history() for f in store.runs()],
    }
    if all_metrics:
        found["every metric of every epoch, hashes checked"] = lambda: sum(
            len(folder.all_rows()) for folder in store.runs()
        )
        found["one DuckDB query over them"] = lambda: duckdb.sql(
            QUERY.format(store.path)
        ).fetchall()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--all-metrics", action="store_true", help="Read every epoch's, too: minutes."
    )
    options = parser.parse_args()
    wall, cpu = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        store = made(Path(name) / "store", options.runs, options.epochs)
        for _ in range(options.rounds):
            for what, read in readings(store, all_metrics=options.all_metrics).items():
                start, start_cpu = time.perf_counter(), time.process_time()
                read()
                wall[what].append(time.perf_counter() - start)
                cpu[what].append(time.process_time() - start_cpu)
    lines = [
        f"{options.runs:,} runs of {options.epochs} epochs",
        "",
        "| | s | CPU s |",
        "|---|---|---|",
        *(
            f"| {what} | {statistics.median(wall[what]):.2f} "
            f"| {statistics.median(cpu[what]):.2f} |"
            for what in wall
        ),
    ]
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()

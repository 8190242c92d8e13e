"""What an engine adds to a run: the time between two runs in which nothing is trained.

Runs of one epoch on a few tiny images are carried out one after the other, by each
engine in turn, and in this process without an engine. An engine's overhead per run is
the median time from the end of a run to the end of the next, minus the median time
that a run takes here. What comes before the first run (a fork server that imports
torch; for Ray also a cluster, its workers and a look at its nodes) is given apart: it
is spent once for each worker of a launch, not for each run.

    python benchmarks/run_overhead.py [--runs 20] [--rounds 3] [--engines local ray]

Prints a Markdown table; about two minutes with the defaults on an idle machine.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median

from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import execute
from calibench.lab.study.launch import Placement
from calibench.lab.study.load import load_study

STUDY = """
name = "overhead"
models = ["vgg16"]
width = 1
seeds = {seeds}
[dataset]
kind = "gratings"
num_train = 90
num_test = 30
image_size = 8
num_classes = 3
[splits]
selection = 20
calibration = 20
[train]
epochs = 1
batch_size = 50
[[loss]]
kind = "cross_entropy"
"""


def new_store(folder: Path, num_runs: int) -> Store:
    """Return the store of a study that is about to begin."""
    file = folder / "study.toml"
    file.write_text(STUDY.format(seeds=list(range(num_runs))))
    study = load_study(file)
    runs = [run.run_id for run in study.runs()]
    content = {"name": study.name, "spec": study.to_dict(), "runs": runs}
    return Store.prepared(folder / "store", content, file.read_text())


def ends(engine: str, store: Store) -> list[float]:
    """Return when each run ended, in seconds since the engine was asked for."""
    run_ids = [folder.run_id for folder in store.runs()]
    conditions = Conditions(data=store.path, device="cpu")
    start, found = time.perf_counter(), []
    if engine == "none":
        for run_id in run_ids:
            execute(store, run_id, conditions)
            found.append(time.perf_counter() - start)
        return found
    with Placement(on=engine, workers=1).opened() as opened:
        for event in opened.launch(
            store, run_ids, conditions, is_stopping=lambda: False
        ):
            if event.kind == "ended":
                if event.outcome != "finished":
                    sys.exit(f"{event.run_id}: {event.outcome}: {event.reason}")
                found.append(time.perf_counter() - start)
    return found


def main() -> None:
    """Measure engines in turn, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["local", "ray"])
    given = parser.parse_args()
    steps, firsts = defaultdict(list), defaultdict(list)
    for _ in range(given.rounds):
        for engine in ("none", *given.engines):
            with tempfile.TemporaryDirectory() as folder:
                found = ends(engine, new_store(Path(folder), given.runs))
            firsts[engine].append(found[0])
            steps[engine] += [b - a for a, b in pairwise(found)]
    alone = median(steps["none"])
    sys.stdout.write(
        f"A run takes {alone:.3f} s in this process.\n\n"
        "| engine | first run ends after (s) | one run more (s) | overhead (s) |\n"
        "|---|---|---|---|\n"
    )
    for engine in given.engines:
        more = median(steps[engine])
        sys.stdout.write(
            f"| {engine} | {median(firsts[engine]):.2f} | {more:.3f} | "
            f"{more - alone:.3f} |\n"
        )


if __name__ == "__main__":
    main()

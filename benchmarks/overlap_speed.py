"""What it saves to store an epoch while the next trains, where a core is free.

    OMP_NUM_THREADS=1 python benchmarks/overlap_speed.py --rounds 3

Carries out a run of each network of the demo for a few epochs, once with every epoch
measured and committed before the next begins and once beside it, in turn, in this
process; at least two cores must be idle. The table has medians of wall seconds an
epoch, the start left out. Both must leave the same bytes, which is checked.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from calibench.lab.data.catalog import default_data_dir
from calibench.lab.store import RunFolder, Store
from calibench.lab.study.execute import execute
from calibench.lab.study.prepared_run import Conditions
from calibench.lab.study.spec import RunSpec, StudySpec
from train_grids import grid, runs

_TIMES = {"timing.jsonl", "lock"}


def main() -> None:
    """Run the comparison and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument(
        "--models", nargs="*", default=["resnet18", "resnet50", "vgg16"]
    )
    options = parser.parse_args()
    study = grid("demo")
    study = replace(study, train=replace(study.train, epochs=options.epochs))
    sys.stdout.write(
        "| | one after the other, s | beside, s | ratio | of it storing, s |\n"
        "|---|---|---|---|---|\n"
    )
    for model, run in runs(study, options.models).items():
        rounds = [_both(study, run) for _ in range(options.rounds)]
        serial, beside, storing = (
            median(column) for column in zip(*rounds, strict=True)
        )
        ratio = median(one / other for one, other, _ in rounds)
        sys.stdout.write(
            f"| {model} | {serial:.2f} | {beside:.2f} | {ratio:.2f} | {storing:.2f} |\n"
        )
        sys.stdout.flush()


def _both(study: StudySpec, run: RunSpec) -> tuple[float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        serial, storing, files = _epoch_seconds(
            study, run, Path(folder) / "1", free=False
        )
        beside, _, same = _epoch_seconds(study, run, Path(folder) / "2", free=True)
    if files != same:
        sys.exit(f"{run.run_id}: the two ways left different bytes.")
    return serial, beside, storing


def _epoch_seconds(
    study: StudySpec, run: RunSpec, path: Path, *, free: bool
) -> tuple[float, float, dict[str, bytes]]:
    """Return wall seconds of an epoch, those of storing it, and what the run left."""
    content = {"name": study.name, "spec": study.to_dict(), "runs": [run.run_id]}
    store = Store.prepared(path, content, "")
    folder = store.run(run.run_id)
    begun: list[float] = []

    def noted() -> bool:  # asked before the first step, and then before each
        begun.append(time.perf_counter())
        return False

    conditions = Conditions(data=default_data_dir(), device="cpu", spare_core=free)
    execute(store, run.run_id, conditions, is_stopping=noted)
    epoch = (time.perf_counter() - begun[0]) / study.train.epochs
    return epoch, _storing(folder), _files(folder)


def _storing(folder: RunFolder) -> float:
    lines = (folder.path / "timing.jsonl").read_text().splitlines()
    times = [json.loads(line) for line in lines]
    return median(each["measure"] + each["commit"] for each in times)


def _files(folder: RunFolder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder.path)): path.read_bytes()
        for path in folder.path.rglob("*")
        if path.is_file() and path.name not in _TIMES
    }


if __name__ == "__main__":
    main()

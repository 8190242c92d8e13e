"""What one GPU does with the study of Figure 1, in pieces that resume.

    python benchmarks/gpu_study.py --data DIR --out results/gpu       # again until done
    python benchmarks/gpu_study.py --device cpu --tiny --out /tmp/gpu # all of it, small

Each piece ends after --minutes (9); the same command goes on where it stopped. What is
there is in OUT/gpu_study.json, and as tables in OUT/gpu_study.md. Parts, by --parts:

- peak: operations a second of a large matrix product, in each precision.
- steps: a training step eager, compiled, captured as a CUDA graph, and both; and with
  kernels that need not repeat themselves. The share of the floor is the counted
  operations (two for each multiply-add, three passes) over time and measured peak.
- plain: an epoch of a plain loop (`plain_loop.py`) on the same device, in float32 as
  torch has it there, with a loader process for each core.
- profile: the kernels of an eager step, the longest first.
- beside: images a second of several processes on the device. Start NVIDIA's
  multi-process service (`nvidia-cuda-mps-control -d`) or not, and say so by --label.
- runs: `calibench run` of seed 0 of each model and loss, evaluated every epoch.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from calibench.lab.store import Store
from calibench.lab.study.load import load_study
from calibench.lab.study.prepared_run import Conditions
from calibench.lab.training.step import WAYS
from gpu_parts import (
    beside,
    peak_flops,
    plain_epoch,
    prepared,
    step_flops,
    step_row,
    top_kernels,
)
from gpu_tables import tables

ROOT = Path(__file__).parents[1]
PARTS = ("peak", "steps", "plain", "profile", "beside", "runs")
TINY = """
name = "tiny"
models = ["vgg16"]
width = 4
[dataset]
kind = "gratings"
num_train = 160
num_test = 40
image_size = 8
num_classes = 3
[splits]
selection = 20
calibration = 40
[train]
epochs = 2
batch_size = 50
crop_padding = 1
[[loss]]
kind = "cross_entropy"
"""


def main() -> None:
    """Do what is not there yet, until the time of a piece is over."""
    options = asked()
    options.out.mkdir(parents=True, exist_ok=True)
    piece = Piece(options)
    for part in options.parts:
        getattr(piece, part)()
    piece.write()
    sys.stdout.write((options.out / "gpu_study.md").read_text())
    if piece.is_over:
        sys.exit("the time of this piece is over; the same command goes on.")


def asked() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--study", type=Path, default=ROOT / "studies/figure1.toml")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--ways", nargs="*", choices=WAYS)
    parser.add_argument("--beside", nargs="*", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--workers", type=int, default=3, help="runs at a time")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--label", default="", help="what the figures should say")
    parser.add_argument("--tiny", action="store_true", help="a study of seconds")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    options.ways = options.ways or (list(WAYS) if on_gpu else ["eager"])
    return options


class Piece:
    """The figures so far, and how long this piece may still take."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.deadline = time.monotonic() + 60 * options.minutes
        self.is_over = False
        self.path = options.out / "gpu_study.json"
        self.found: dict[str, Any] = {}
        if self.path.exists():
            self.found = json.loads(self.path.read_text())
        self.study = options.out / "study.toml"
        text = TINY if options.tiny else options.study.read_text()
        # One seed: 12 runs of the 36.
        self.study.write_text(text.replace("seeds = [0, 1, 2]", "seeds = [0]"))
        self.models = list(
            dict.fromkeys(r.model for r in load_study(self.study).runs())
        )
        self.conditions = Conditions(data=options.data, device=options.device)
        self.found["machine"] = machine(options)

    def missing(self, *names: str) -> bool:
        """Whether figures are not there yet, and there is time for them."""
        place = self.found
        for name in names:
            place = place.get(name, {})
        if place:
            return False
        self.is_over = self.is_over or time.monotonic() > self.deadline
        return not self.is_over

    def keep(self, value: Any, *names: str) -> None:  # noqa: ANN401 - JSON
        """Keep figures, at once: the next part may be interrupted."""
        place = self.found
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = value
        self.write()

    def write(self) -> None:
        """Write what is there, as JSON and as tables."""
        self.path.write_text(json.dumps(self.found, indent=1) + "\n")
        (self.options.out / "gpu_study.md").write_text(tables(self.found))

    def peak(self) -> None:
        """Measure matrix products."""
        size = 256 if self.options.tiny else 8192
        for name in ("float32", "bfloat16"):
            if self.missing("peak", name):
                dtype = getattr(torch, name)
                self.keep(peak_flops(self.options.device, dtype, size), "peak", name)

    def steps(self) -> None:
        """Measure training steps."""
        for model in self.models:
            kinds = [(way, True) for way in self.options.ways]
            kinds += [(kinds[0][0], False), (kinds[-1][0], False)]
            for way, deterministic in dict.fromkeys(kinds):
                key = f"{way}, {'deterministic' if deterministic else 'any order'}"
                if self.missing("steps", model, key):
                    run = prepared(self.study, model, self.conditions)
                    row = step_row(run, way, deterministic=deterministic)
                    row["precision"] = run.spec.train.precision
                    row["floor_flops"] = step_flops(run)
                    self.keep(row, "steps", model, key)

    def plain(self) -> None:
        """Measure a plain loop."""
        for model in self.models:
            if self.missing("plain", model):
                run = prepared(self.study, model, self.conditions)
                cores = 0 if self.options.tiny else len(os.sched_getaffinity(0))
                self.keep(plain_epoch(run, cores), "plain", model)

    def profile(self) -> None:
        """Find out on what steps spend their time."""
        for model in self.models:
            if self.missing("profile", model):
                run = prepared(self.study, model, self.conditions)
                steps = min(5, run.batches.per_epoch - 1)
                self.keep(top_kernels(run, steps), "profile", model)

    def beside(self) -> None:
        """Measure several processes on the device."""
        way = "captured" if "captured" in self.options.ways else "eager"
        for model in self.models:
            for count in self.options.beside:
                key = " ".join(filter(None, [str(count), self.options.label]))
                if self.missing("beside", model, key):
                    speed = beside(self.study, model, self.conditions, way, count, 2)
                    self.keep(speed, "beside", model, key)

    def runs(self) -> None:
        """Carry out runs until they are done or the time is over."""
        if not self.missing("runs", "seconds"):
            return
        before = self.found.get("runs", {}).get("pieces", [])
        started = time.monotonic()
        process = subprocess.Popen(self.command())  # noqa: S603 - our own command
        try:
            process.wait(max(1.0, self.deadline - started))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait()
            self.is_over = True
        pieces = [*before, time.monotonic() - started]
        self.keep(pieces, "runs", "pieces")
        self.keep(epoch_times(self.options.out / "store"), "runs", "epochs")
        if process.returncode == 0:
            self.keep(sum(pieces), "runs", "seconds")
        elif process.returncode != 75:
            sys.exit(process.returncode)

    def command(self) -> list[str]:
        """Return the command that carries out the runs."""
        words = [sys.executable, "-m", "calibench", "run", str(self.study)]
        words += ["--store", str(self.options.out / "store")]
        words += ["--workers", str(self.options.workers)]
        words += ["--device", self.options.device, "--data", str(self.options.data)]
        return words


def epoch_times(store: Path) -> dict[str, dict[str, float]]:
    """Return the median seconds of an epoch's parts, for every run."""
    found = {}
    for folder in Store(store).runs():
        path = folder.path / "timing.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        if rows:
            names = [name for name in rows[-1] if name != "epoch"]
            found[folder.run_id] = {
                name: median(row[name] for row in rows) for name in names
            } | {"epochs": len(rows)}
    return found


def machine(options: argparse.Namespace) -> dict[str, str]:
    """Return what the figures belong to."""
    on_gpu = options.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
        "python": platform.python_version(),
        "study": "tiny" if options.tiny else options.study.name,
    }


if __name__ == "__main__":
    main()

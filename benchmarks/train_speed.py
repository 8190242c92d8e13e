"""Images a second and core in training, beside a plain loop, and where the time goes.

    OMP_NUM_THREADS=1 python benchmarks/train_speed.py
    OMP_NUM_THREADS=1 python benchmarks/train_speed.py --grids figure1 --rounds 0

The grid of the demo and that of `studies/cifar10_small.toml`; the latter on a fifth of
its images, and on gratings where $CALIBENCH_DATA has no CIFAR-10. Three contenders,
each in processes of its own that live as long as the comparison:

- calibench: runs as `calibench run` carries them out, a process with one thread for
  each core. An epoch is trained, measured with the whole panel, and committed.
- a plain loop (`plain_loop.py`) in one process with torch's own number of threads and
  two loader processes, one run after the other, as most code for CIFAR has it. An epoch
  is trained, and loss and accuracy are computed on what is held out.
- the same loop in a process with one thread for each core, without loader processes.

They take turns, an epoch each; the first does not count. Ratios are of epochs of one
turn, the table has medians. All start from the same weights and see the same examples
in the same order (mirrored or not by their own chance) and at the same rates, so they
must have the same mean training loss in every epoch: that is checked, to --tolerance.
Rounding errors grow: what differs by 1e-7 at the first step does by 1e-2 at the tenth.

--rounds 0 prints only where the time of an epoch goes.
"""

import argparse
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch

from calibench.lab.store import EpochFiles, RunFolder
from calibench.lab.study.measure import epoch_rows
from calibench.models import build_model
from plain_loop import PlainLoop
from train_grids import GRIDS, grid, measured_examples, prepared, runs
from train_parts import core_peak, show_parts

CORES = len(os.sched_getaffinity(0))
OURS, PLAIN, PLAIN_EACH = "calibench", "plain loop", "plain loop, one a core"
SHARES = {"demo": 1.0, "cifar10_small": 0.2, "figure1": 0.02}


@dataclass(frozen=True)
class Turn:
    """One epoch of one process: seconds and mean training loss."""

    train: float
    whole: float
    mean_loss: float


def main() -> None:
    """Run the comparison and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grids", nargs="*", default=["demo", "cifar10_small"])
    parser.add_argument(
        "--models", nargs="*", default=["resnet18", "resnet50", "vgg16"]
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=0.15)
    parser.add_argument("--share", type=float, help="of a grid's images")
    options = parser.parse_args()
    unknown = set(options.grids) - set(GRIDS)
    if unknown:
        parser.error(
            f"no such grid: {', '.join(unknown)}; there are {', '.join(GRIDS)}"
        )
    torch.set_num_threads(1)
    sys.stdout.write(
        f"{platform.processor() or platform.machine()}, {CORES} cores, torch "
        f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}; float32 "
        f"matrix product on one core {core_peak() / 1e9:.0f} GFLOP/s.\n"
    )
    worst = 0.0
    for name in options.grids if options.rounds else []:
        share = options.share or SHARES[name]
        worst = max(worst, *compare(name, options.models, options.rounds, share))
    for name in options.grids:
        show_parts(name, options.models, share=options.share or SHARES[name])
    if worst > options.tolerance:
        sys.exit(f"the loss curves differ by up to {worst:.1%}.")


def compare(name: str, models: list[str], rounds: int, share: float) -> Iterator[float]:
    """Print the speeds on a grid; yield by how much loss curves differ at most."""
    sys.stdout.write(
        f"\n**{name}**: training images a second and core, of training alone and "
        f"of whole epochs; medians of {rounds} turns after the first.\n\n"
        "| | contender | training | epochs | calibench's ratio | of epochs | loss of "
        "every epoch |\n|---|---|---|---|---|---|---|\n"
    )
    for model in models:
        turns: dict[str, list[list[Turn]]] = {}
        with contenders(name, model, share) as (size, processes):
            for _ in range(1 + rounds):
                for contender, connections in processes.items():
                    turns.setdefault(contender, []).append(_turn(connections))
        counted = {contender: each[1:] for contender, each in turns.items()}
        for contender, each in counted.items():
            _show_row(model, contender, size, each, counted[OURS])
            losses = [found[0].mean_loss for found in turns[contender]]
            sys.stdout.write(" ".join(f"{loss:.4f}" for loss in losses) + " |\n")
            sys.stdout.flush()
            yield _largest_difference(losses, turns[OURS])


def _turn(connections: list[Connection]) -> list[Turn]:
    """Let processes do an epoch at the same time."""
    for connection in connections:
        connection.send("epoch")
    return [connection.recv() for connection in connections]


def _show_row(
    model: str,
    contender: str,
    size: int,
    turns: list[list[Turn]],
    ours: list[list[Turn]],
) -> None:
    cells, ratios = [], []
    for part in ("train", "whole"):
        each, mine = (
            [_seconds(found, part) for found in some] for some in (turns, ours)
        )
        cells.append(f"{size / CORES / median(each):.0f}")
        pairs = zip(each, mine, strict=True)
        ratios.append(f"{median(theirs / own for theirs, own in pairs):.2f}")
    sys.stdout.write(f"| {model} | {contender} | {' | '.join(cells + ratios)} | ")


def _seconds(found: list[Turn], part: str) -> float:
    """Return what an epoch of one run takes on all cores."""
    # Processes that work side by side share the machine until the last has ended.
    return max(getattr(turn, part) for turn in found) / len(found)


def _largest_difference(losses: list[float], ours: list[list[Turn]]) -> float:
    return max(
        abs(loss / found[0].mean_loss - 1)
        for loss, found in zip(losses, ours, strict=True)
    )


@contextmanager
def contenders(
    name: str, model: str, share: float
) -> Iterator[tuple[int, dict[str, list[Connection]]]]:
    """Start every process; yield images of an epoch, and the processes."""
    context = multiprocessing.get_context("spawn")
    asked = {OURS: CORES, PLAIN: 1, PLAIN_EACH: CORES}
    processes: dict[str, list[Connection]] = {}
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        for contender, number in asked.items():
            processes[contender] = []
            for index in range(number):
                here, there = context.Pipe()
                path = Path(folder) / f"{contender} {index}"
                arguments = (there, contender, name, model, share, path)
                context.Process(target=serve, args=arguments).start()
                there.close()  # so that a process that fails is noticed
                processes[contender].append(here)
            sizes += [connection.recv() for connection in processes[contender]]
        yield sizes[0], processes
        for connections in processes.values():
            for connection in connections:
                connection.send("end")
                connection.recv()


def serve(
    connection: Connection,
    contender: str,
    name: str,
    model: str,
    share: float,
    folder: Path,
) -> None:
    """Be a contender: an epoch whenever it is asked."""
    study = grid(name, share=share)
    run = prepared(study, runs(study, [model])[model], folder / "store")
    connection.send(run.batches.per_epoch * run.batches.batch_size)
    if contender == OURS:
        turns = _our_turns(run, RunFolder(folder / "run"))
    else:
        torch.use_deterministic_algorithms(mode=False)
        # Torch's own choice is one for each core, whatever OMP_NUM_THREADS says.
        torch.set_num_threads(CORES if contender == PLAIN else 1)
        turns = _plain_turns(run, num_workers=2 if contender == PLAIN else 0)
    while connection.recv() == "epoch":
        connection.send(next(turns))
    connection.send("ended")


def _our_turns(run: Any, folder: RunFolder) -> Iterator[Turn]:  # noqa: ANN401
    folder.path.mkdir()
    folder.begin(run.manifest(), run.examples())
    epochs = run.epochs(range(1, run.spec.train.epochs + 1), lambda: False)
    while True:
        started = time.perf_counter()
        epoch = next(epochs)
        trained = time.perf_counter()
        logits = run.logits(lambda: False)
        rows = epoch_rows(epoch.index, run.predictions(logits), run.posteriors())
        content = EpochFiles(rows, run.columns(logits), run.state.to_bytes())
        folder.commit_epoch(epoch.index, content)
        ended = time.perf_counter()
        yield Turn(trained - started, ended - started, epoch.mean_loss)


def _plain_turns(run: Any, *, num_workers: int) -> Iterator[Turn]:  # noqa: ANN401
    spec = run.spec
    model = build_model(
        spec.model_source, run.dataset.num_classes, width=spec.width, seed=spec.seed
    )
    loop = PlainLoop(
        model,
        spec.train,
        run.batches,
        run.splits.train.examples,
        measured_examples(run),
        num_workers=num_workers,
    )
    for epoch in count(1):
        started = time.perf_counter()
        mean_loss = loop.train(epoch)
        trained = time.perf_counter()
        loop.evaluate()
        yield Turn(trained - started, time.perf_counter() - started, mean_loss)


if __name__ == "__main__":
    main()

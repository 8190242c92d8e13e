"""A paper plan: a large study on many GPUs, event by event.

    python benchmarks/scale_simulation.py [--runs 10000] [--gpus 1000]

Runs are scheduled as the engines do: the longest first, each on the next free device. A
device fails at a constant rate; a failed run loses what it did since its last committed
epoch, waits, starts again at the end of the queue, and goes on from there. Starts pass
through one scheduler, one after the other. Not in the model: slow file systems, devices
of different speed, other users of the cluster.

Prints a Markdown table of makespans beside the ideal: all training time over all
devices, with no overhead, no failure and no device ever idle.
"""

import argparse
import heapq
import random
import sys
from dataclasses import dataclass, replace
from itertools import cycle, islice

# Seconds of an epoch of 50,000 images on one GPU at 40 % of its peak: ResNet50,
# ResNet18, VGG16 (floors of .49, .21 and .12 s at 790 TFLOP/s).
EPOCH_SECONDS = (1.2, 0.53, 0.3)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What a study runs on; all times in seconds.

    Attributes:
        devices: Runs at a time.
        start: From the start of a worker to its first training step.
        commit: Of an epoch, beside its training and evaluation.
        dispatch: Of the scheduler, for each start.
        mean_life: Of a device between failures; infinite where none fails.
        wait: From a failure until the run is queued again.
    """

    devices: int
    start: float = 0.0
    commit: float = 0.0
    dispatch: float = 0.0
    mean_life: float = float("inf")
    wait: float = 0.0


@dataclass(frozen=True)
class Run:
    """A run: epochs that are left, and the seconds of each."""

    epochs: int
    seconds: float

    @property
    def work(self) -> float:
        """Training time that is left."""
        return self.epochs * self.seconds


@dataclass(frozen=True)
class Course:
    """What came of it, in seconds, and how often a run failed."""

    makespan: float
    ideal: float
    busy: float
    failures: int


def simulated(runs: list[Run], cluster: Cluster, *, seed: int = 0) -> Course:
    """Play a study through."""
    rng = random.Random(seed)  # noqa: S311 - a simulation, no secret
    queue = [(0.0, place, run) for place, run in enumerate(longest_first(runs))]
    heapq.heapify(queue)
    free = [0.0] * cluster.devices
    placed, dispatched, makespan, busy, failures = len(queue), 0.0, 0.0, 0.0, 0
    while queue:
        device = heapq.heappop(free)
        # The first in the queue of those that are there when the device is free.
        ready, _, run = heapq.heappop(queue)
        dispatched = max(device, ready, dispatched) + cluster.dispatch
        done, took = attempt(run, cluster, rng)
        end = dispatched + took
        busy += took
        heapq.heappush(free, end)
        if done < run.epochs:
            failures += 1
            left = replace(run, epochs=run.epochs - done)
            heapq.heappush(queue, (end + cluster.wait, placed, left))
            placed += 1
        makespan = max(makespan, end)
    ideal = sum(run.work for run in runs) / cluster.devices
    return Course(makespan, ideal, busy, failures)


def attempt(run: Run, cluster: Cluster, rng: random.Random) -> tuple[int, float]:
    """Return how many epochs a start commits, and how long it holds its device."""
    epoch = run.seconds + cluster.commit
    whole = cluster.start + run.epochs * epoch
    life = cluster.mean_life * rng.expovariate(1.0)
    if life >= whole:
        return run.epochs, whole
    return max(int((life - cluster.start) // epoch), 0), life


def longest_first(runs: list[Run]) -> list[Run]:
    """Return the order in which runs are begun."""
    return sorted(runs, key=lambda run: run.work, reverse=True)


def grid(runs: int, epochs: int) -> list[Run]:
    """Return runs of the three models in equal parts."""
    return [Run(epochs, seconds) for seconds in islice(cycle(EPOCH_SECONDS), runs)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--gpus", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--start", type=float, default=15.0, help="Seconds.")
    parser.add_argument("--commit", type=float, default=0.05, help="Seconds.")
    parser.add_argument("--dispatch", type=float, default=0.01, help="Seconds.")
    parser.add_argument("--wait", type=float, default=120.0, help="Seconds.")
    options = parser.parse_args()
    runs = grid(options.runs, options.epochs)
    plain = Cluster(devices=options.gpus)
    started = replace(
        plain, start=options.start, commit=options.commit, dispatch=options.dispatch
    )
    cases = {"no overhead, no failure": plain, "overheads": started}
    for hours in (1000, 100, 10):
        cases[f"and a failure every {hours:,} h of a GPU"] = replace(
            started, mean_life=3600.0 * hours, wait=options.wait
        )
    lines = [
        f"{options.runs:,} runs of {options.epochs} epochs on {options.gpus:,} GPUs",
        "",
        "| | makespan, min | ideal, min | of the ideal | failures |",
        "|---|---|---|---|---|",
    ]
    for what, cluster in cases.items():
        course = simulated(runs, cluster)
        lines.append(
            f"| {what} | {course.makespan / 60:.1f} | {course.ideal / 60:.1f} "
            f"| {course.ideal / course.makespan:.0%} | {course.failures:,} |"
        )
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()

"""How long the losses take beside torch's cross-entropy, and in how much memory.

    OMP_NUM_THREADS=2 python benchmarks/loss_speed.py --rows 4096 --classes 10
    OMP_NUM_THREADS=2 python benchmarks/loss_speed.py --rows 2048 --classes 50000
    OMP_NUM_THREADS=2 python benchmarks/loss_speed.py --rows 2048 --classes 50000 \
        --width 64
    python benchmarks/loss_speed.py --rows 8192 --classes 128000 --width 4096 \
        --device cuda

Forward and backward of float32 logits. Rounds are interleaved; a ratio is of wall times
of the same round, and the table shows the median ratio, its quartiles, and the shortest
time. Memory is by how much a process of its own grows at its peak beyond the logits,
after a small batch has warmed it up (Linux); with --device cuda by how much more of the
GPU's torch then holds. With --width the losses begin at hidden
states and the weight of a last layer: torch's way, which makes all logits, against
`loss_from_hidden`.
"""

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from calibench.losses import (
    LOSSES,
    CrossEntropy,
    DualFocal,
    EntropyRegularization,
    Focal,
    LabelSmoothing,
    LpNorm,
    PerExampleLoss,
    SoftBinnedECE,
    loss_from_hidden,
)
from calibench.losses.mmce import MMCE

Run: TypeAlias = Callable[[], None]

_SMALL = 64
CONTENDERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "torch, cross_entropy": F.cross_entropy,
    "CrossEntropy": CrossEntropy(),
    "Focal": Focal(gamma=3),
    "Focal, detached": Focal(gamma=3, detached=True),
    "EntropyRegularization": EntropyRegularization(alpha=0.2),
    "LpNorm, p = 1": LpNorm(alpha=0.05),
    "LpNorm, p = 2": LpNorm(alpha=0.05, p=2),
    "LpNorm, p = 3": LpNorm(alpha=0.05, p=3),
    "LpNorm, p = inf": LpNorm(alpha=0.05, p=float("inf")),
    "Brier": LOSSES["brier"](),
    "LabelSmoothing": LabelSmoothing(eps=0.05),
    "MarginSmoothing": LOSSES["margin_smoothing"](),
    "ACLS": LOSSES["acls"](),
    "LogitNorm": LOSSES["logit_norm"](),
    "Squentropy": LOSSES["squentropy"](),
    "FLSD": LOSSES["flsd"](),
    "DualFocal": DualFocal(gamma=5),
    "AdaFocal": LOSSES["adafocal"](),
    "MMCE": MMCE(weight=1),
    "MDCA": LOSSES["mdca"](),
    "SoftBinnedECE": SoftBinnedECE(weight=1),
}
CHUNKED = ("CrossEntropy", "Focal", "EntropyRegularization", "LpNorm, p = 1")


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        sys.stdout.write(str(own_growth(options.memory_of, options)))
        return
    runs = runs_of(options, options.rows)
    baseline = next(iter(runs))
    runs = {
        name: run
        for name, run in runs.items()
        if name == baseline or any(part in name for part in options.only)
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        timed(run, options.device)
        times[name].clear()
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(timed(run, options.device))
    growths = {name: growth(name, options) for name in runs}
    report(options, times, growths, baseline)


def runs_of(options: argparse.Namespace, rows: int) -> dict[str, Run]:
    """Return forward and backward of every contender, by name."""
    device = options.device
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    labels = torch.randint(options.classes, (rows,), generator=generator, device=device)
    if not options.width:
        # In place: a peak before the run would hide that of the run.
        logits = normal(rows, options.classes)
        leaf = logits.mul_(3).requires_grad_()
        return {
            name: lambda loss=loss: backward(loss(leaf, labels), leaf)
            for name, loss in CONTENDERS.items()
        }
    hidden = normal(rows, options.width).requires_grad_()
    weight = normal(options.classes, options.width)
    weight.mul_(3 / options.width**0.5).requires_grad_()

    def whole() -> None:
        loss = F.cross_entropy(F.linear(hidden, weight), labels)
        backward(loss, hidden, weight)

    def in_chunks(loss: PerExampleLoss) -> Run:
        return lambda: backward(
            loss_from_hidden(loss, hidden, weight, labels), hidden, weight
        )

    runs: dict[str, Run] = {"torch, linear and cross_entropy": whole}
    for name in CHUNKED:
        loss = CONTENDERS[name]
        assert isinstance(loss, PerExampleLoss)  # noqa: S101 - of the four above
        runs[f"loss_from_hidden, {name}"] = in_chunks(loss)
    return runs


def backward(value: Tensor, *leaves: Tensor) -> None:
    """Differentiate, and forget the gradients of the round before."""
    for leaf in leaves:
        leaf.grad = None
    value.backward()


def timed(run: Run, device: str) -> float:
    """Return seconds of wall time, until the device has done what it was told."""
    wait_for(device)
    started = time.perf_counter()
    run()
    wait_for(device)
    return time.perf_counter() - started


def growth(name: str, options: argparse.Namespace) -> float:
    """Return by how many MB a process of its own grows."""
    words = [sys.executable, str(Path(__file__)), "--memory-of", name]
    for key in ("rows", "classes", "width", "device"):
        words += [f"--{key}", str(getattr(options, key))]
    done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - this script
    return float(done.stdout)


def own_growth(name: str, options: argparse.Namespace) -> float:
    """Return by how many MB this process grows at its peak."""
    runs_of(options, _SMALL)[name]()
    run = runs_of(options, options.rows)[name]
    if options.device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def wait_for(device: str) -> None:
    """Wait until a GPU has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def resident(which: str) -> float:
    """Return the size of this process in MB, now (VmRSS) or at its peak (VmHWM).

    From Linux's own account: the peak of `getrusage` is that of the parent, too.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith(which)]
    return int(kilobytes) / 1024


def where(device: str) -> str:
    """Return on what the times were taken."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads"


def report(
    options: argparse.Namespace,
    times: dict[str, list[float]],
    growths: dict[str, float],
    baseline: str,
) -> None:
    """Print the table."""
    width = f", from hidden states of {options.width}" if options.width else ""
    sys.stdout.write(
        f"{options.rows:,} rows, K = {options.classes:,}{width}; torch "
        f"{torch.__version__}, {where(options.device)}, "
        f"Python {platform.python_version()}, {options.rounds} rounds\n\n"
        "| | ratio | quartiles | shortest, ms | peak MB | of torch's |\n"
        "|---|---|---|---|---|---|\n"
    )
    for name, each in times.items():
        ratios = [a / b for a, b in zip(each, times[baseline], strict=True)]
        low, _, high = quantiles(ratios, n=4)
        share = growths[name] / growths[baseline] if growths[baseline] else 1
        sys.stdout.write(
            f"| {name} | {median(ratios):.2f} | {low:.2f} to {high:.2f} | "
            f"{1000 * min(each):.2f} | {growths[name]:.0f} | {share:.2f} |\n"
        )


if __name__ == "__main__":
    main()

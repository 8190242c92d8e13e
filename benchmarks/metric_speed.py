"""How fast the panel of metrics is beside other code, and how much memory it takes.

    OMP_NUM_THREADS=2 python benchmarks/metric_speed.py --rows 10000000 --classes 10

Every contender sees the same float32 probabilities (or their confidences and
correctness, computed beforehand, if it takes no more) and labels; the panel is timed
from logits as well. Rounds are interleaved and medians taken, of CPU time (all
threads) and of wall time; the ratio is of wall time to the panel of the predicted
class. Contenders that are not installed are left out, and those that took over 20
seconds once are not run again. Memory is by how much a process of its own grows at
its peak. The floor is the time in which the same threads read the same bytes once.
"""

import argparse
import importlib.metadata
import importlib.util
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias

import numpy as np

from calibench.metrics.stream import MetricState
from calibench.metrics.stream_top import TopLabelState

Run: TypeAlias = Callable[[], object]

_SLOW = 20.0
_PACKAGES = (
    "numpy",
    "numba",
    "torch",
    "torchmetrics",
    "scikit-learn",
    "netcal",
    "relplot",
    "uncertainty-calibration",
    "probmetrics",
)
_NUM_BINS = 15


class Data(NamedTuple):
    """What the contenders see."""

    logits: np.ndarray
    probs: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray


class Timing(NamedTuple):
    """Seconds of one run."""

    cpu: float
    wall: float


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10**6)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", help="contenders whose name contains this")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        sys.stdout.write(f"{own_growth(options.memory_of, options)}")
        return
    data = synthetic(options.rows, options.classes)
    contenders = contenders_for(data, options.workers)
    if options.only:
        contenders = {k: v for k, v in contenders.items() if options.only in k}
    times: dict[str, list[Timing]] = {name: [] for name in contenders}
    first = {name: timed(run) for name, run in contenders.items()}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            if first[name].wall <= _SLOW:
                times[name].append(timed(run))
    for name, each in times.items():
        each.extend([] if each else [first[name]])
    report(options, times, {name: growth(name, options) for name in contenders})


def synthetic(rows: int, classes: int) -> Data:
    """Over-confident logits, and labels drawn from what they should have been."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((rows, classes), dtype=np.float32)
    logits[np.arange(rows), rng.integers(classes, size=rows)] += 3
    # The maximum of logits plus Gumbel noise is a draw from their softmax.
    labels = np.empty(rows, dtype=np.int64)
    for start in range(0, rows, 10**5):
        part = logits[start : start + 10**5]
        noise = rng.gumbel(size=part.shape).astype(np.float32)
        labels[start : start + 10**5] = np.argmax(part + noise, axis=1)
    logits *= np.float32(1.5)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    return Data(
        logits, probs, labels, probs.max(axis=1), probs.argmax(axis=1) == labels
    )


def contenders_for(data: Data, workers: int) -> dict[str, Run]:
    """The code to compare, by name."""

    def panel(scope: type[TopLabelState], kind: str) -> Run:
        values = data.probs if kind == "probs" else data.logits
        return lambda: scope.of_arrays(
            values, data.labels, kind=kind, workers=workers
        ).result(_NUM_BINS)

    found: dict[str, Run] = {
        "calibench, metrics of the predicted class": panel(TopLabelState, "probs"),
        "calibench, the same from logits": panel(TopLabelState, "logits"),
        "calibench, all metrics of a state": panel(MetricState, "probs"),
        "calibench, all metrics, from logits": panel(MetricState, "logits"),
        "floor: reading the probabilities once": lambda: read(data.probs, workers),
        "plain numpy ECE": lambda: plain_ece(data),
    }
    for module, (name, make) in FOREIGN.items():
        if importlib.util.find_spec(module):
            found[name] = make(data)
    return found


def read(values: np.ndarray, workers: int) -> None:
    """Read every number once, on as many threads."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(np.max, np.array_split(values, workers)))


def plain_ece(data: Data) -> float:
    """What one writes in a notebook, in float32."""
    confidence = data.probs.max(axis=1)
    correct = data.probs.argmax(axis=1) == data.labels
    edges = np.linspace(0, 1, _NUM_BINS + 1)[1:-1]
    bins = np.digitize(confidence, edges, right=True)
    sums = [np.bincount(bins, each, _NUM_BINS) for each in (confidence, correct)]
    return float(np.abs(sums[0] - sums[1]).sum() / len(correct))


def torchmetrics_ece(data: Data) -> Run:
    """Its functional form, on tensors made beforehand."""
    import torch  # noqa: PLC0415 - only where it is installed
    from torchmetrics.functional.classification import (  # noqa: PLC0415
        multiclass_calibration_error,
    )

    given, target = torch.from_numpy(data.probs), torch.from_numpy(data.labels)
    return lambda: float(
        multiclass_calibration_error(
            given, target, data.probs.shape[1], n_bins=_NUM_BINS
        )
    )


def sklearn_curve(data: Data) -> Run:
    """The bins of confidences and correctness made beforehand, without their counts."""
    from sklearn.calibration import calibration_curve  # noqa: PLC0415

    return lambda: calibration_curve(data.correct, data.confidence, n_bins=_NUM_BINS)


def netcal_ece(data: Data) -> Run:
    """Its ECE from probabilities."""
    from netcal.metrics import ECE  # noqa: PLC0415

    return lambda: ECE(bins=_NUM_BINS).measure(data.probs, data.labels)


def relplot_smooth(data: Data) -> Run:
    """Its smooth error, from confidences and correctness made beforehand."""
    from relplot.metrics import smECE  # noqa: PLC0415

    correct = data.correct.astype(np.float64)
    return lambda: smECE(data.confidence, correct)


def verified_ece(data: Data) -> Run:
    """The ECE of uncertainty-calibration."""
    import calibration  # noqa: PLC0415

    return lambda: calibration.get_ece(data.probs, data.labels, num_bins=_NUM_BINS)


def probmetrics_ece(data: Data) -> Run:
    """Its calibration error, on its own types made beforehand."""
    import torch  # noqa: PLC0415
    from probmetrics.distributions import (  # noqa: PLC0415
        CategoricalDirac,
        CategoricalProbs,
    )
    from probmetrics.metrics import CalibrationError  # noqa: PLC0415

    truth = CategoricalDirac(torch.from_numpy(data.labels), data.probs.shape[1])
    given = CategoricalProbs(torch.from_numpy(data.probs))
    metric = CalibrationError(n_bins=_NUM_BINS, norm="l1")
    return lambda: metric.compute(truth, given)


FOREIGN: dict[str, tuple[str, Callable[[Data], Run]]] = {
    "torchmetrics": ("torchmetrics, ECE", torchmetrics_ece),
    "sklearn": ("scikit-learn, calibration_curve of confidences", sklearn_curve),
    "netcal": ("netcal, ECE", netcal_ece),
    "relplot": ("relplot, smECE of confidences", relplot_smooth),
    "calibration": ("uncertainty-calibration, ECE", verified_ece),
    "probmetrics": ("probmetrics, ECE", probmetrics_ece),
}


def timed(run: Run) -> Timing:
    """One run."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return Timing(time.process_time() - cpu, time.perf_counter() - wall)


def growth(name: str, options: argparse.Namespace) -> float:
    """By how many MB a process of its own grows at its peak when it runs this."""
    numbers = {
        key: str(getattr(options, key)) for key in ("rows", "classes", "workers")
    }
    command = [sys.executable, __file__, "--memory-of", name]
    for key, value in numbers.items():
        command += [f"--{key}", value]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def own_growth(name: str, options: argparse.Namespace) -> float:
    """By how many MB this process grows, once it is warm."""
    data = synthetic(options.rows, options.classes)
    few = Data(*(each[:1000] for each in data))
    contenders_for(few, options.workers)[name]()
    run = contenders_for(data, options.workers)[name]
    # The high-water mark starts again at what is in use.
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    run()
    return (status("VmHWM") - before) / 1000


def status(name: str) -> int:
    """A figure of this process, in KB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def report(
    options: argparse.Namespace, times: dict[str, list[Timing]], peaks: dict[str, float]
) -> None:
    """Print what was measured."""
    versions = [f"{each} {importlib.metadata.version(each)}" for each in installed()]
    lines = [
        f"N = {options.rows:,}, K = {options.classes}, {options.rounds} rounds, "
        f"{options.workers} workers, Python {platform.python_version()}, "
        f"{', '.join(versions)}",
        "",
        "| | CPU ms | wall ms | fastest | slowest | ratio | extra MB |",
        "|---|---|---|---|---|---|---|",
    ]
    unit = median(each.wall for each in next(iter(times.values())))
    for name, each in times.items():
        walls = [timing.wall for timing in each]
        figures = (median(timing.cpu for timing in each), median(walls))
        spread = " | ".join(
            f"{1e3 * t:.0f}" for t in (*figures, min(walls), max(walls))
        )
        lines.append(
            f"| {name} | {spread} | {median(walls) / unit:.2f} | {peaks[name]:.0f} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")


def installed() -> list[str]:
    """The packages that take part."""
    found = {each.metadata["Name"] for each in importlib.metadata.distributions()}
    return [name for name in _PACKAGES if name in found]


if __name__ == "__main__":
    main()

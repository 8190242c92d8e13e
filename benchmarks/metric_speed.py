"""How fast the panel of metrics is beside other code, and how much memory it takes.

    OMP_NUM_THREADS=1 python benchmarks/metric_speed.py --rows 1000000 --classes 10

Every contender sees the same float32 logits (or their softmax, computed beforehand, if
it takes probabilities only) and labels. Rounds are interleaved, medians are taken of
CPU time, so that another load on the machine falls on all alike; ratios are to the
one-pass panel. Contenders that are not installed are left out. Memory is the peak of
what Python and numpy allocate beyond the inputs, measured in a run of its own.
"""

import argparse
import importlib.metadata
import importlib.util
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import numpy as np

from calibench import metrics
from calibench.metrics.stream import MetricState
from calibench.predictions import Predictions

# As many rows at a time as the readers take.
_NUMBERS = 2**17


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10**6)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    logits, labels = synthetic(options.rows, options.classes)
    contenders = contenders_for(logits, labels)
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    report(options, times, {name: peak(run) for name, run in contenders.items()})


def synthetic(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident logits, and labels drawn from what they should have been."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((rows, classes), dtype=np.float32)
    logits[np.arange(rows), rng.integers(classes, size=rows)] += 3
    # The maximum of logits plus Gumbel noise is a draw from their softmax.
    noise = rng.gumbel(size=(rows, classes)).astype(np.float32)
    labels = np.argmax(logits + noise, axis=1)
    return logits * np.float32(1.5), labels


def contenders_for(
    logits: np.ndarray, labels: np.ndarray
) -> dict[str, Callable[[], float]]:
    """The code to compare, by name; each returns an ECE."""
    probs = softmax(logits)
    found: dict[str, Callable[[], float]] = {
        "calibench MetricState, 13 metrics, one pass": lambda: one_pass(logits, labels),
        "calibench scalars, 13 metrics, in memory": lambda: metrics.scalars(
            Predictions.from_logits(logits, labels)
        )["top_label_ece"],
        "plain numpy ECE alone, float32, in memory": lambda: plain_ece(logits, labels),
    }
    if importlib.util.find_spec("torchmetrics"):
        found["torchmetrics ECE alone, from probabilities"] = torchmetrics_ece(
            probs, labels
        )
    if importlib.util.find_spec("sklearn"):
        found["scikit-learn calibration_curve alone, from confidences"] = sklearn_curve(
            probs, labels
        )
    return found


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax in the dtype of the logits."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def one_pass(logits: np.ndarray, labels: np.ndarray) -> float:
    """All metrics through a state."""
    rows = max(1, _NUMBERS // logits.shape[1])
    state = MetricState.empty(logits.shape[1])
    for start in range(0, len(logits), rows):
        part = slice(start, start + rows)
        state = state.update(Predictions.from_logits(logits[part], labels[part]))
    return state.result()["top_label_ece"]


def plain_ece(logits: np.ndarray, labels: np.ndarray, num_bins: int = 15) -> float:
    """What one writes in a notebook."""
    probs = softmax(logits)
    confidence = probs.max(axis=1)
    correct = probs.argmax(axis=1) == labels
    bins = np.digitize(confidence, np.linspace(0, 1, num_bins + 1)[1:-1], right=True)
    gap = np.bincount(bins, confidence, num_bins) - np.bincount(bins, correct, num_bins)
    return float(np.abs(gap).sum() / len(labels))


def torchmetrics_ece(probs: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """Its functional form, on tensors made beforehand."""
    import torch  # noqa: PLC0415 - only where it is installed
    from torchmetrics.functional.classification import (  # noqa: PLC0415
        multiclass_calibration_error,
    )

    given, target = torch.from_numpy(probs), torch.from_numpy(labels)
    return lambda: float(
        multiclass_calibration_error(given, target, probs.shape[1], n_bins=15)
    )


def sklearn_curve(probs: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """The bins of confidences and correctness made beforehand, without their counts."""
    from sklearn.calibration import calibration_curve  # noqa: PLC0415

    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels

    def curve() -> float:
        share, mean = calibration_curve(correct, confidence, n_bins=15)
        return float(np.abs(share - mean).mean())

    return curve


def peak(run: Callable[[], float]) -> float:
    """Largest extra memory of a run, in MB."""
    tracemalloc.start()
    run()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def report(
    options: argparse.Namespace, times: dict[str, list[float]], peaks: dict[str, float]
) -> None:
    """Print what was measured."""
    names = ("numpy", "torch", "torchmetrics", "scikit-learn")
    versions = [
        f"{name} {importlib.metadata.version(name)}" for name in names if has(name)
    ]
    lines = [
        f"N = {options.rows:,}, K = {options.classes}, {options.rounds} rounds, "
        f"Python {platform.python_version()}, {', '.join(versions)}",
        "",
        "| | CPU ms, median | fastest | slowest | ratio | extra MB |",
        "|---|---|---|---|---|---|",
    ]
    unit = median(next(iter(times.values())))
    for name, each in times.items():
        spread = " | ".join(f"{1000 * t:.0f}" for t in (min(each), max(each)))
        middle = median(each)
        lines.append(
            f"| {name} | {1000 * middle:.0f} | {spread} | {middle / unit:.2f} "
            f"| {peaks[name]:.1f} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")


def has(distribution: str) -> bool:
    """Whether a distribution is installed."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()

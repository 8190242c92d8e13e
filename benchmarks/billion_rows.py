"""One pass over a deterministic stream of rows whose answers are known in closed form.

    OMP_NUM_THREADS=2 python benchmarks/billion_rows.py --blocks 1000

A block is a million rows of float64 probabilities over 10 classes: 2,000 rows for each
confidence k / 1000, k = 501..1000, the rest shared equally. Over every 1,000 blocks
exactly k^2 / 10^6 of the rows at k / 1000 are right, so that the gap is c - c^2. Every
row is summed, merged and measured as if it came from a file; time to make the labels is
told apart. Prints each number beside its closed form, in exact fractions but for the
logarithms, and the growth of memory.
"""

import argparse
import math
import resource
import sys
import time
from fractions import Fraction

import numpy as np

from calibench.metrics.stream import MetricState
from calibench.metrics.stream_top import TopLabelState

_LEVELS = np.arange(501, 1001)
_ROWS_OF_LEVEL = 2000
_CLASSES = 10
# So many blocks make the shares of right rows exact.
_PERIOD = 1000


def main() -> None:
    """Run the pass and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=_PERIOD)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--top", action="store_true", help="the predicted class alone")
    options = parser.parse_args()
    if options.blocks % _PERIOD:
        parser.error(f"--blocks must be a multiple of {_PERIOD}.")
    scope = TopLabelState if options.top else MetricState
    probs, level, rank = rows()
    predicted = probs.argmax(axis=1)
    state = None
    making = 0.0
    before, start, cpu = peak(), time.perf_counter(), time.process_time()
    for block in range(options.blocks):
        began = time.process_time()
        labels = labels_of(block, predicted, level, rank)
        making += time.process_time() - began
        found = scope.of_arrays(probs, labels, kind="probs", workers=options.workers)
        state = found if state is None else state.merge(found)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    result = state.result(num_bins=10)
    expected = closed_form()
    sys.stdout.write(
        f"{state.num_examples:,} rows, {wall:.0f} s, {cpu:.0f} CPU s of which "
        f"{making:.0f} make labels; "
        f"memory grew by {(peak() - before) / 1000:.0f} MB\n\n"
        "| | found | closed form | difference |\n|---|---|---|---|\n"
    )
    for name, value in expected.items():
        if name in result:
            off = abs(result[name] - float(value))
            sys.stdout.write(
                f"| {name} | {result[name]:.15g} | {float(value):.15g} | {off:.1e} |\n"
            )


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a block, the level of each row, and its rank within it."""
    level = np.repeat(_LEVELS, _ROWS_OF_LEVEL)
    rank = np.tile(np.arange(_ROWS_OF_LEVEL), len(_LEVELS))
    confidence = level / 1000
    probs = np.repeat(((1 - confidence) / (_CLASSES - 1))[:, None], _CLASSES, axis=1)
    probs[np.arange(len(level)), rank % _CLASSES] = confidence
    return probs, level, rank


def labels_of(
    block: int, predicted: np.ndarray, level: np.ndarray, rank: np.ndarray
) -> np.ndarray:
    """The labels of a block: of each level as many right ones as are due by then."""
    turn = block % _PERIOD
    due = [2 * _LEVELS**2 * each // _PERIOD for each in (turn, turn + 1)]
    right = (due[1] - due[0])[level - _LEVELS[0]]
    return np.where(rank < right, predicted, (predicted + 1 + rank % 7) % _CLASSES)


def closed_form() -> dict[str, Fraction | float]:
    """The numbers of the whole stream."""
    levels = [Fraction(int(k), 1000) for k in _LEVELS]
    n = len(levels)
    gap = sum(c - c * c for c in levels) / n
    # Ten bins: (0.5, 0.6] has the first hundred levels, and so on.
    bins = [levels[start : start + 100] for start in range(0, n, 100)]
    gaps = [sum(c - c * c for c in each) / len(each) for each in bins]
    brier = sum(
        c * c * (1 - c) ** 2 * Fraction(10, 9)
        + (1 - c * c) * (c * c + (1 - (1 - c) / 9) ** 2 + 8 * ((1 - c) / 9) ** 2)
        for c in levels
    )
    nll = [
        -(float(c) ** 2) * math.log(c)
        - (1 - float(c) ** 2) * (math.log((1 - c) / 9) if c < 1 else 0.0)
        for c in levels
    ]
    return {
        "error_rate": 1 - sum(c * c for c in levels) / n,
        "mean_confidence": sum(levels) / n,
        "confidence_gap": gap,
        "top_label_ece": gap,
        "top_label_ece_equal_mass": gap,
        "overconfidence": gap,
        "underconfidence": Fraction(0),
        "max_calibration_error": max(gaps),
        "rms_calibration_error": math.sqrt(sum(g * g for g in gaps) / len(gaps)),
        "saturated_share": Fraction(1, n),
        "brier": brier / n,
        "nll": math.fsum(nll) / n,
    }


def peak() -> int:
    """The most memory that this process had, in KB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()

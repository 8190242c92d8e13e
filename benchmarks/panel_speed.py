"""How long `evaluate` takes: the panel with intervals and 1,000 redrawn data sets.

    OMP_NUM_THREADS=1 python benchmarks/panel_speed.py [--rows 10000] [--classes 10]

Prints a Markdown table of CPU seconds, the median and the fastest of interleaved
rounds, for models whose logits are the true ones times a factor. With one replicate in
place of 1,000 it is what all but the redrawing takes.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict

import numpy as np

from calibench import metrics
from calibench.predictions import Predictions

SHARPNESS = (1.0, 2.0)
REPLICATES = (1000, 1)


def drawn(rows: int, classes: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from the softmax of them over the factor."""
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(rows, classes))
    return sharpness * z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seconds = defaultdict(list)
    for _ in range(options.rounds):
        for sharpness in SHARPNESS:
            arrays = drawn(options.rows, options.classes, sharpness)
            for replicates in REPLICATES:
                # Nothing that another round derived is at hand.
                some = Predictions.from_logits(*arrays)
                start = time.process_time()
                metrics.evaluate(some, replicates=replicates)
                seconds[sharpness, replicates].append(time.process_time() - start)
    lines = ["| logits times | replicates | CPU s | fastest |", "|---|---|---|---|"]
    lines += [
        f"| {sharpness:g} | {replicates:,} | {statistics.median(each):.2f} | "
        f"{min(each):.2f} |"
        for (sharpness, replicates), each in seconds.items()
    ]
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()

"""What calibration errors a perfectly calibrated model scores by chance alone.

Its confidences are those of softmax(s z), z ten independent standard normal numbers,
with s chosen for a mean confidence, which for a calibrated model is its accuracy.
Whether each example is right is redrawn from its confidence, as `metrics.noise_floor`
does.

    python benchmarks/noise_floor_tables.py [TABLE ...] [--draws 40000000]

Prints the tables of docs/noise-floor.md, in percent (of a squared error: in hundredths
of a percent): mean / 95th percentile. With the default number of Bernoulli draws a cell
all take about 5 CPU minutes.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import cache, partial

import numpy as np

from calibench.binning import equal_width, scheme_named
from calibench.metrics import calibration_error, redraw
from calibench.metrics.debiased import size_less_bias
from calibench.metrics.redraw_labels import redrawn_classwise
from calibench.metrics.redraw_smooth import redrawn_smooth
from calibench.metrics.sweep import redrawn_sweep

NUM_CLASSES = 10
ACCURACIES = (0.99, 0.945, 0.86, 0.75, 0.62)
OTHER_SIZES = (500, 1000, 2000, 5000, 10_000)
SIZES = (500, 1000, 2000, 5000, 10_000, 50_000, 1_000_000)
NUM_BINS = (10, 15, 20, 50, 100)
SCHEMES = ("equal_width", "equal_mass")
_PILOT = 200_000
_FEWEST_REPLICATES, _MOST_REPLICATES = 200, 4000

Floor = tuple[float, float]
Scores = Callable[[np.ndarray, int], np.ndarray]


def probs_of(scale: float, num_examples: int, seed: int) -> np.ndarray:
    """Probabilities of a model whose logits are normal."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal((num_examples, NUM_CLASSES))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def confidence_of(scale: float, num_examples: int, seed: int) -> np.ndarray:
    """Their largest probability, a block at a time."""
    sizes = [min(_PILOT, num_examples - k) for k in range(0, num_examples, _PILOT)]
    blocks = [
        probs_of(scale, size, seed + 1000 * block).max(axis=1)
        for block, size in enumerate(sizes)
    ]
    return np.concatenate(blocks)


@cache
def scale_for(accuracy: float) -> float:
    """The scale of the logits with that mean confidence, to two digits."""
    logits = np.random.default_rng(0).standard_normal((_PILOT, NUM_CLASSES))
    depth = logits - logits.max(axis=1, keepdims=True)
    low, high = 0.1, 1000.0
    for _ in range(20):
        middle = float(np.sqrt(low * high))
        if (1 / np.exp(middle * depth).sum(axis=1)).mean() < accuracy:
            low = middle
        else:
            high = middle
    return round(low, 2)


def pooled(scores: Scores, num_examples: int, draws: int) -> Floor:
    """Mean and 95th percentile over several test sets and many redraws of each."""
    sets = int(np.clip(20_000 // num_examples, 1, 20))
    replicates = draws // (sets * num_examples)
    replicates = int(np.clip(replicates, _FEWEST_REPLICATES, _MOST_REPLICATES))
    found = np.concatenate([scores(replicates, seed) for seed in range(1, sets + 1)])
    return float(found.mean()), float(np.quantile(found, 0.95))


def floor(
    accuracy: float,
    num_examples: int,
    *,
    num_bins: int = 15,
    scheme: str = "equal_width",
    functional: calibration_error.Functional = calibration_error.mean_size,
    draws: int = 40_000_000,
) -> Floor:
    """The floor of a binned error of the predicted class."""

    def scores(replicates: int, seed: int) -> np.ndarray:
        confidence = confidence_of(scale_for(accuracy), num_examples, seed)
        bins = scheme_named(scheme)(confidence, num_bins)
        return functional(
            redraw.redrawn_bins(bins, redraw.Drawing(confidence, replicates, seed))
        )

    return pooled(scores, num_examples, draws)


def classwise_floor(accuracy: float, num_examples: int, *, draws: int) -> Floor:
    """The floor of `classwise_ece`: labels are redrawn from the probabilities."""

    def scores(replicates: int, seed: int) -> np.ndarray:
        probs = probs_of(scale_for(accuracy), num_examples, seed)
        return redrawn_classwise(probs, 15, equal_width, replicates, seed)

    return pooled(scores, num_examples, draws // 10)


def unbinned_floor(
    redrawn: Callable[[redraw.Drawing], np.ndarray],
    accuracy: float,
    num_examples: int,
    *,
    draws: int,
) -> Floor:
    """The floor of a number that chooses its own bins, or has none."""

    def scores(replicates: int, seed: int) -> np.ndarray:
        confidence = confidence_of(scale_for(accuracy), num_examples, seed)
        return redrawn(redraw.Drawing(confidence, replicates, seed))

    return pooled(scores, num_examples, draws // 10)


OTHERS: dict[str, Callable[..., Floor]] = {
    "`overconfidence`, `underconfidence`": partial(
        floor, functional=calibration_error.mean_excess
    ),
    "`debiased_l1`": partial(floor, functional=size_less_bias),
    "`debiased_l2`, in 0.0001": partial(
        floor, functional=calibration_error.pair_products
    ),
    "`rms_calibration_error`": partial(
        floor, functional=calibration_error.root_mean_square
    ),
    "`max_calibration_error`": partial(
        floor, functional=calibration_error.largest_size
    ),
    "the same, equal mass": partial(
        floor, functional=calibration_error.largest_size, scheme="equal_mass"
    ),
    "`ece_sweep`": partial(unbinned_floor, redrawn_sweep),
    "`smooth_ece`": partial(unbinned_floor, redrawn_smooth),
    "`classwise_ece`": classwise_floor,
}


def rule(accuracy: float, num_examples: int, num_bins: int) -> Floor:
    """The rule of thumb: .8 sqrt(M v / n), sqrt(v / n) more; v is mean c (1 - c)."""
    confidence = confidence_of(scale_for(accuracy), _PILOT, 0)
    unit = float(np.sqrt((confidence * (1 - confidence)).mean() / num_examples))
    mean = np.sqrt(2 / np.pi) * np.sqrt(num_bins) * unit
    return float(mean), float(mean + unit)


def cell(found: Floor, unit: float = 0.01) -> str:
    """In percent, with digits enough for a floor of a fiftieth of a percent."""
    digits = 2 if max(found) >= 0.1 * unit else 3
    return " / ".join(f"{value / unit + 0.0:.{digits}f}" for value in found)


def write_table(title: str, head: Iterable[str], rows: Iterable[list[str]]) -> None:
    """Print a Markdown table, a row as soon as it is known."""
    names = list(head)
    sys.stdout.write(f"\n{title}\n\n")
    for row in ([*names], ["---"] * len(names)):
        sys.stdout.write(f"| {' | '.join(row)} |\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(row)} |\n")
        sys.stdout.flush()


def shapes() -> Iterable[list[str]]:
    """How confidences are spread for each accuracy."""
    for accuracy in ACCURACIES:
        confidence = confidence_of(scale_for(accuracy), _PILOT, 0)
        low, middle, high = np.quantile(confidence, [0.05, 0.25, 0.5])
        spread = (confidence * (1 - confidence)).mean()
        yield [
            f"{100 * accuracy:g} %",
            f"{scale_for(accuracy):.2f}",
            f"{low:.2f} / {middle:.2f} / {high:.4f}",
            f"{spread:.4f}",
        ]


def by_size(scheme: str, draws: int) -> Iterable[list[str]]:
    """Floors of ECE with 15 bins, a row for each number of examples."""
    for size in SIZES:
        cells = [cell(floor(a, size, scheme=scheme, draws=draws)) for a in ACCURACIES]
        yield [f"{size:,}", *cells]


def by_bins(num_examples: int, draws: int) -> Iterable[list[str]]:
    """Floors of ECE, a row for each scheme and number of bins."""
    for scheme in SCHEMES:
        for num_bins in NUM_BINS:
            cells = [
                cell(
                    floor(
                        a, num_examples, num_bins=num_bins, scheme=scheme, draws=draws
                    )
                )
                for a in ACCURACIES
            ]
            yield [scheme.replace("_", " "), str(num_bins), *cells]


def of_others(accuracy: float, draws: int) -> Iterable[list[str]]:
    """Floors of the other numbers, a row for each."""
    for name, found in OTHERS.items():
        unit = 0.0001 if "0.0001" in name else 0.01
        cells = [cell(found(accuracy, n, draws=draws), unit) for n in OTHER_SIZES]
        yield [name, *cells]


# Other confidences of the accuracies above: name, accuracy, how to draw them.
SHAPES: dict[str, tuple[float, Callable[[np.random.Generator, int], np.ndarray]]] = {
    "Beta(10, 6.13)": (0.62, lambda rng, n: rng.beta(10, 6.13, n)),
    "Beta(20, 12.26)": (0.62, lambda rng, n: rng.beta(20, 12.26, n)),
    "1/2 + 1/2 Beta(8, 1)": (0.945, lambda rng, n: 0.5 + 0.5 * rng.beta(8, 1, n)),
}


def of_shapes(num_examples: int, draws: int) -> Iterable[list[str]]:
    """Floors of ECE with 15 bins of equal width, for other confidences."""
    for name, (accuracy, drawn) in SHAPES.items():

        def scores(
            replicates: int,
            seed: int,
            drawn: Callable[[np.random.Generator, int], np.ndarray] = drawn,
        ) -> np.ndarray:
            confidence = drawn(np.random.default_rng(seed), num_examples)
            bins = equal_width(confidence, 15)
            redrawn = redraw.redrawn_bins(
                bins, redraw.Drawing(confidence, replicates, seed)
            )
            return calibration_error.mean_size(redrawn)

        yield [name, f"{100 * accuracy:g} %", cell(pooled(scores, num_examples, draws))]


def of_rule(draws: int) -> Iterable[list[str]]:
    """The floor over the rule of thumb, mean and 95th percentile."""
    for scheme in SCHEMES:
        for size, num_bins in ((1000, 15), (10_000, 15), (10_000, 100), (50_000, 15)):
            row = [scheme.replace("_", " "), f"{size:,}", str(num_bins)]
            for accuracy in ACCURACIES:
                found = floor(
                    accuracy, size, num_bins=num_bins, scheme=scheme, draws=draws
                )
                said = rule(accuracy, size, num_bins)
                row.append(f"{found[0] / said[0]:.2f} / {found[1] / said[1]:.2f}")
            yield row


def tables(draws: int) -> dict[str, tuple[list[str], Iterable[list[str]]]]:
    """The head and the rows of every table, by its name."""
    accuracies = [f"{100 * accuracy:g} %" for accuracy in ACCURACIES]
    below = "5, 25, 50 % of them are below"
    sizes = [f"n = {size:,}" for size in OTHER_SIZES]
    return {
        "confidences": (["accuracy", "s", below, "mean c (1 - c)"], shapes()),
        "equal_width": (["n", *accuracies], by_size("equal_width", draws)),
        "equal_mass": (["n", *accuracies], by_size("equal_mass", draws)),
        "bins": (["scheme", "bins", *accuracies], by_bins(10_000, draws)),
        "others": (["86 %, 15 bins", *sizes], of_others(0.86, draws)),
        "shapes": (["confidences", "accuracy", "floor"], of_shapes(10_000, draws)),
        "rule": (["scheme", "n", "bins", *accuracies], of_rule(draws)),
    }


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="TABLE", choices=[*tables(1), []])
    parser.add_argument("--draws", type=int, default=40_000_000)
    options = parser.parse_args()
    every = tables(options.draws)
    for name in options.names or every:
        write_table(name, *every[name])


if __name__ == "__main__":
    main()

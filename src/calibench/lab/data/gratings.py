"""Gratings: embedded images whose posterior P(y | x) is known exactly.

The label of an image is drawn from a smooth posterior of the orientation of its
grating, so that the Bayes accuracy, the lowest possible NLL and the true calibration
error of a classifier can be computed, not estimated from labels.
"""

import numpy as np
from jaxtyping import Float64, Int64

from calibench.errors import ParameterError
from calibench.lab.data.dataset import Dataset, Examples
from calibench.lab.data.grating_images import render
from calibench.lab.data.random_streams import stream, uniform

# Bayes accuracy .91 at ten classes.
DIFFICULTY = 0.13
MIN_IMAGE_SIZE = 8


def grating_posterior(
    orientation: Float64[np.ndarray, " examples"],
    *,
    num_classes: int,
    difficulty: float,
) -> Float64[np.ndarray, "examples {num_classes}"]:
    """Return P(y | orientation): a softmax of closeness to each class's center.

    Class k of K has its center at pi k / K on the circle of orientations, whose
    period is pi, and the logit `concentration * cos(2 (orientation - center))` with
    `concentration = 1 / (difficulty (1 - cos(2 pi / K)))`. So at the center of a class
    the log odds against its neighbor are 1 / difficulty, whatever K is, and halfway
    between two centers they are 0.

    Args:
        orientation: In radians.
        num_classes: K, at least 2.
        difficulty: Positive; about the Bayes error divided by ln 2 while it is small.

    Source:
        Own construction; the posterior of K von Mises densities of equal
        concentration on the doubled angle.

    Example:
        At a center of one of two classes, odds e to 1:

        >>> center = np.array([0.0])
        >>> posterior = grating_posterior(center, num_classes=2, difficulty=1.0)
        >>> bool(np.isclose(posterior[0, 0] / posterior[0, 1], np.e))
        True
    """
    centers = np.pi * np.arange(num_classes) / num_classes
    closeness = np.cos(2 * (orientation[:, None] - centers))
    # The largest is subtracted first: a tiny difficulty then overflows nothing.
    lag = closeness - closeness.max(axis=1, keepdims=True)
    weights = np.exp(lag / (difficulty * (1 - np.cos(2 * np.pi / num_classes))))
    return weights / weights.sum(axis=1, keepdims=True)


def grating_facts(*, num_classes: int, difficulty: float) -> dict[str, float]:
    """Return the best that any classifier can do, over all orientations.

    `bayes_accuracy` is the mean of the largest posterior probability, `best_nll` the
    mean entropy in nats: integrals over the circle, not averages of a sample. One
    class's half cell is all of it by symmetry; midpoint rule with 4,096 points.
    """
    num_points = 4096
    half_cell = np.pi / (2 * num_classes)
    orientation = half_cell * (np.arange(num_points) + 0.5) / num_points
    posterior = grating_posterior(
        orientation, num_classes=num_classes, difficulty=difficulty
    )
    # x ln x is 0 at 0.
    positive = np.where(posterior > 0, posterior, 1.0)
    return {
        "bayes_accuracy": float(posterior.max(axis=1).mean()),
        "best_nll": float(-(positive * np.log(positive)).sum(axis=1).mean()),
    }


def gratings(
    num_train: int,
    num_test: int,
    image_size: int = 16,
    num_classes: int = 10,
    difficulty: float = DIFFICULTY,
    seed: int = 0,
) -> Dataset:
    """Make a data set of oriented gratings with known posterior.

    Orientations are uniform on the circle. Images do not depend on the difficulty
    or the number of classes; image i, its label and its posterior do not depend on
    `num_train` or `num_test`. A mirrored image has another orientation, so flips do
    not preserve labels; shifts do.

    The posterior is that of the true orientation, which noise lets a reader of the
    pixels know to about .002 radians only; docs/data.md gives the size of this
    approximation.

    Args:
        num_train: Train examples, 1 or more.
        num_test: Test examples, 1 or more.
        image_size: Pixels a side, 8 or more.
        num_classes: 2 or more.
        difficulty: Positive; the Bayes error grows with it.
        seed: 0 or more.

    Raises:
        ParameterError: A parameter is out of its range.

    Example:
        >>> some = gratings(num_train=4, num_test=2)
        >>> some.train.images.shape, some.num_classes
        ((4, 3, 16, 16), 10)
        >>> round(some.facts["bayes_accuracy"], 2)
        0.91
    """
    check_gratings(num_train, num_test, image_size, num_classes, difficulty)

    def examples(split: str, size: int) -> Examples:
        orientation = draw_orientation(split, size, seed)
        posterior = grating_posterior(
            orientation, num_classes=num_classes, difficulty=difficulty
        )
        draws = uniform(stream(f"gratings {split} label", seed), size)
        images = render(split, orientation, image_size, seed)
        return Examples(images, _draw_labels(posterior, draws), posterior)

    return Dataset(
        name="gratings",
        class_names=tuple(f"{180 * k / num_classes:g} deg" for k in range(num_classes)),
        train=examples("train", num_train),
        test=examples("test", num_test),
        facts=grating_facts(num_classes=num_classes, difficulty=difficulty),
        flip_preserves_label=False,
    )


def check_gratings(
    num_train: int, num_test: int, image_size: int, num_classes: int, difficulty: float
) -> None:
    """Refuse parameters outside their range.

    Raises:
        ParameterError: Names the parameter, its value and its range.
    """
    for name, value, least in (
        ("num_train", num_train, 1),
        ("num_test", num_test, 1),
        ("image_size", image_size, MIN_IMAGE_SIZE),
        ("num_classes", num_classes, 2),
    ):
        if value < least:
            message = f"gratings: {name} is {value}; it must be {least} or more"
            raise ParameterError(message)
    if not 0 < difficulty < np.inf:
        message = (
            f"gratings: difficulty is {difficulty}; it must be positive and finite"
        )
        raise ParameterError(message)


def draw_orientation(
    split: str, size: int, seed: int
) -> Float64[np.ndarray, " {size}"]:
    """Draw the orientations of a split, uniform on [0, pi)."""
    return np.pi * uniform(stream(f"gratings {split} orientation", seed), size)


def _draw_labels(
    posterior: Float64[np.ndarray, "examples classes"],
    draws: Float64[np.ndarray, " examples"],
) -> Int64[np.ndarray, " examples"]:
    """Invert the distribution function; the last class takes what rounding leaves."""
    return (draws[:, None] >= posterior.cumsum(axis=1)[:, :-1]).sum(axis=1)

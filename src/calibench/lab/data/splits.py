"""The four splits of a study: drawn from a seed, disjoint, and told apart by type."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Int64

from calibench.errors import ParameterError
from calibench.lab.data.dataset import Dataset, Examples
from calibench.lab.data.random_streams import permutation, stream

SplitName = Literal["train", "selection", "calibration", "test"]
Name = TypeVar("Name", bound=SplitName)


@dataclass(frozen=True, kw_only=True)
class SplitSizes:
    """How many examples each split gets.

    Attributes:
        train: Examples to fit weights on; None is all that remain.
        selection: Examples to choose on (an epoch, a coefficient).
        calibration: Examples to fit a calibrator on.
        test: The first so many of the test examples; None is all.

    Raises:
        ParameterError: A size is below 1.
    """

    train: int | None = None
    selection: int
    calibration: int
    test: int | None = None

    def __post_init__(self) -> None:
        for name in ("train", "selection", "calibration", "test"):
            size = getattr(self, name)
            if size is not None and size < 1:
                message = f"{name}: {size} examples; a split has at least 1"
                raise ParameterError(message)

    def num_train_of(self, available: int) -> int:
        """Return how many of `available` examples the train split gets.

        Raises:
            ParameterError: There are too few.
        """
        held_out = self.selection + self.calibration
        num_train = available - held_out if self.train is None else self.train
        if num_train < 1 or held_out + num_train > available:
            asked = "at least 1" if self.train is None else str(self.train)
            message = (
                f"splits: {self.selection} selection, {self.calibration} calibration "
                f"and {asked} train examples were asked of the {available} train "
                "examples of the data set; ask for fewer"
            )
            raise ParameterError(message)
        return num_train


@dataclass(frozen=True, eq=False)
class Split(Generic[Name]):
    """Examples that know what they are for.

    A function that chooses takes a `Split[Literal["selection"]]`, one that fits a
    calibrator a `Split[Literal["calibration"]]`; the type checker refuses the rest.

    Attributes:
        name: What the examples are for.
        examples: The examples.
        indices: Where they stand in the data set's train or test examples.
    """

    name: Name
    examples: Examples
    indices: Int64[np.ndarray, " examples"]


@dataclass(frozen=True, eq=False)
class Splits:
    """The four splits of one data set under one seed."""

    train: Split[Literal["train"]]
    selection: Split[Literal["selection"]]
    calibration: Split[Literal["calibration"]]
    test: Split[Literal["test"]]


def split_examples(dataset: Dataset, sizes: SplitSizes, seed: int) -> Splits:
    """Divide a data set into train, selection, calibration and test.

    The train examples of the data set are put in the random order of the seed;
    selection is the head of that order, then comes calibration, then train. So
    the examples held out do not depend on how many are trained on, and a smaller
    train split is a part of a larger one. Classes are not balanced: each split is
    a simple random sample, as the intervals of the metrics assume. The order is
    that of raw PCG64 words and never changes (see `random_streams`).

    The test split is the data set's own, in its own order and independent of the
    seed; where `sizes` limits it, its first examples.

    Args:
        dataset: The data set.
        sizes: How many examples each split gets.
        seed: 0 or more; another seed is another division.

    Raises:
        ParameterError: The data set has too few examples, or the seed is negative.

    Example:
        >>> from calibench.lab.data.gratings import gratings
        >>> some = gratings(num_train=10, num_test=5, seed=0)
        >>> splits = split_examples(some, SplitSizes(selection=2, calibration=3), 0)
        >>> splits.train.examples.size, splits.test.examples.size
        (5, 5)
    """
    num_train, num_test = _resolved(dataset, sizes)
    order = permutation(stream("splits", seed), dataset.train.size)
    held_out = sizes.selection + sizes.calibration
    selection = order[: sizes.selection]
    calibration = order[sizes.selection : held_out]
    train = order[held_out : held_out + num_train]
    test = np.arange(num_test)
    return Splits(
        train=Split("train", dataset.train.at(train), train),
        selection=Split("selection", dataset.train.at(selection), selection),
        calibration=Split("calibration", dataset.train.at(calibration), calibration),
        test=Split("test", dataset.test.at(test), test),
    )


def _resolved(dataset: Dataset, sizes: SplitSizes) -> tuple[int, int]:
    num_train = sizes.num_train_of(dataset.train.size)
    num_test = dataset.test.size if sizes.test is None else sizes.test
    if num_test > dataset.test.size:
        message = (
            f"splits: {num_test} test examples were asked of the {dataset.test.size} "
            f"test examples of {dataset.name}; ask for fewer"
        )
        raise ParameterError(message)
    return num_train, num_test

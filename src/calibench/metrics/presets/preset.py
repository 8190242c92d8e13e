"""How another library computes a number, and what sets it apart from ours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int64

from calibench.errors import DataError
from calibench.metrics.definitions import Definition
from calibench.predictions import Predictions, unweighted

Dtype: TypeAlias = Literal["float32", "float64"]


class NoNumberError(DataError):
    """The library gives no number for these predictions: it stops, or 0 / 0."""


@dataclass(frozen=True, eq=False)
class Handed:
    """The arrays that the library is handed.

    Attributes:
        probs: Probabilities, in float32 or float64.
        labels: Class ids.
    """

    probs: Float[np.ndarray, "examples classes"]
    labels: Int64[np.ndarray, " examples"]

    @classmethod
    def of(cls, some: Predictions, dtype: Dtype = "float64") -> "Handed":
        """Probabilities of predictions, rounded to a dtype.

        Raises:
            DataError: They have weights.
        """
        some = unweighted(some, "a number of another library")
        return cls(some.probs.astype(dtype, copy=False), some.labels)

    @cached_property
    def predicted(self) -> Int64[np.ndarray, " examples"]:
        """The class of largest probability as handed over, ties to the lowest."""
        return np.argmax(self.probs, axis=1).astype(np.int64, copy=False)

    @cached_property
    def confidence(self) -> Float[np.ndarray, " examples"]:
        """The largest probability of each example."""
        return np.asarray(self.probs.max(axis=1))

    @cached_property
    def correct(self) -> Bool[np.ndarray, " examples"]:
        """Whether the predicted class is the label."""
        return np.asarray(self.predicted == self.labels)

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return int(self.probs.shape[1])

    def binary(
        self,
    ) -> tuple[Float[np.ndarray, " examples"], Bool[np.ndarray, " examples"]]:
        """Of two classes, the probability of class 1 and whether it is the label.

        Raises:
            NoNumberError: There are more than two classes.
        """
        if self.num_classes != 2:
            msg = f"it takes two classes only, not {self.num_classes}."
            raise NoNumberError(msg)
        return np.ascontiguousarray(self.probs[:, 1]), self.labels == 1


@dataclass(frozen=True, eq=False)
class Touched:
    """Which examples make the difference, so that they can be counted.

    Attributes:
        what: What they are, in the plural.
        count: How many there are.
    """

    what: str
    count: Callable[[Handed], int]


def at_1(given: Handed) -> int:
    """How many confidences are 1, as they are or rounded to float32."""
    return int((given.confidence.astype(np.float32) == 1).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Preset:
    """A number as another library computes it.

    Attributes:
        name: Its key in `PRESETS`.
        library: The library, by the name under which it is installed or found.
        versions: Those for which this holds.
        checked: The version, or the commit, whose numbers were compared.
        call: What a user of the library writes to get the number; M is the number of
            bins.
        ours: The number of ours that answers the same question, a key of `OURS`.
        differs: Where and why it differs from ours, in one sentence.
        fault: What of that is a mistake rather than a choice, if anything.
        touched: The examples that make the difference, where they can be told.
        define: The definition for a number of bins and of classes.
        compute: The number for arrays and a number of bins.

    Example:
        >>> from calibench.metrics.presets import PRESETS
        >>> some = Predictions.from_probs([[1.0, 0.0], [0.875, 0.125]], [1, 0])
        >>> round(PRESETS["netcal_mce"](some, num_bins=2), 9)
        0.4375
        >>> PRESETS["mapie_ece"](some)
        0.5625
        >>> PRESETS["torchmetrics_l1"].definition(some).extra_bin
        'confidence exactly 1'
    """

    name: str
    library: str
    versions: str
    checked: str
    call: str
    ours: str
    differs: str
    fault: str | None = None
    touched: Touched | None = None
    define: Callable[[int, int], Definition]
    compute: Callable[[Handed, int], float]

    def __call__(
        self, some: Predictions, *, num_bins: int = 15, dtype: Dtype = "float64"
    ) -> float:
        """Return what the library does for these predictions.

        Args:
            some: The predictions; logits are turned into probabilities here.
            num_bins: What the library is told; its definition says what it makes of it.
            dtype: That of the probabilities which the library is handed.

        Raises:
            NoNumberError: The library gives no number for these predictions.
        """
        return float(self.compute(Handed.of(some, dtype), num_bins))

    def definition(self, some: Predictions, *, num_bins: int = 15) -> Definition:
        """What the number is, for predictions like these."""
        return self.define(num_bins, some.num_classes)

    def num_touched(self, some: Predictions) -> int | None:
        """How many examples make the difference; None where that cannot be told."""
        return None if self.touched is None else self.touched.count(Handed.of(some))

    def counterpart(self, some: Predictions) -> str:
        """Our number to compare with, a key of `OURS`: that of class 1 where it is."""
        of_class_1 = self.definition(some).probability == "class 1"
        return f"class_1_{self.ours}" if of_class_1 else self.ours

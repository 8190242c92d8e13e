"""Labelled images in memory: the one form in which every source of data arrives."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from calibench.errors import DataError


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with their labels and, where it is known, the posterior.

    Attributes:
        images: 0..255, channels first.
        labels: Class ids, 0 to the number of classes less 1.
        posterior: P(y | x) of every image; rows sum to 1. None where unknown.

    Raises:
        DataError: They are empty, or a label or probability is out of its range.

    Example:
        >>> images = np.zeros((2, 3, 4, 4), dtype=np.uint8)
        >>> Examples(images, labels=np.array([0, 1])).size
        2
    """

    images: UInt8[np.ndarray, "examples channels height width"]
    labels: Int64[np.ndarray, " examples"]
    posterior: Float64[np.ndarray, "examples classes"] | None = None

    def __post_init__(self) -> None:
        if self.images.size == 0:
            message = f"images: empty, shape {self.images.shape}"
            raise DataError(message)
        if self.labels.min() < 0:
            first = int(np.argmax(self.labels < 0))
            message = f"labels: row {first} is {self.labels[first]}, below 0"
            raise DataError(message)
        if self.posterior is not None:
            _check_posterior(self.posterior)

    @classmethod
    def of_unknown_form(
        cls, images: np.ndarray, labels: np.ndarray, posterior: np.ndarray | None
    ) -> "Examples":
        """Build examples from arrays of any type and shape, after checking both.

        Raises:
            DataError: Names the array, its form and the form it must have.
        """
        if images.dtype != np.uint8 or images.ndim != 4:
            message = (
                f"images: {images.dtype} of shape {images.shape}; expected uint8 of "
                "shape (examples, channels, height, width)"
            )
            raise DataError(message)
        if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (
            len(images),
        ):
            message = (
                f"labels: {labels.dtype} of shape {labels.shape}; expected integers, "
                f"one for each of the {len(images)} images"
            )
            raise DataError(message)
        if posterior is not None and (
            posterior.dtype != np.float64
            or posterior.ndim != 2
            or len(posterior) != len(images)
        ):
            message = (
                f"posterior: {posterior.dtype} of shape {posterior.shape}; expected "
                f"float64 with a row for each of the {len(images)} images"
            )
            raise DataError(message)
        # An unsigned label beyond int64 turns negative here, and is refused as such.
        return cls(images, labels.astype(np.int64), posterior)

    @property
    def size(self) -> int:
        return len(self.labels)

    def at(self, indices: Int64[np.ndarray, " chosen"]) -> "Examples":
        """Return the examples at `indices`, in that order."""
        posterior = None if self.posterior is None else self.posterior[indices]
        return Examples(self.images[indices], self.labels[indices], posterior)


def _check_posterior(posterior: Float64[np.ndarray, "examples classes"]) -> None:
    # Written so that NaN counts as wrong.
    good = (posterior >= 0).all(axis=1) & (np.abs(posterior.sum(axis=1) - 1) <= 1e-9)
    if not good.all():
        message = (
            f"posterior: row {int(np.argmin(good))} is no probability distribution "
            f"({int((~good).sum())} such rows)"
        )
        raise DataError(message)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set: what models may learn from, and what judges them.

    Attributes:
        name: As the study file calls it.
        class_names: One name a class, in label order.
        train: What the train, selection and calibration splits are drawn from.
        test: What judges; nothing is fitted or chosen on it.
        facts: Numbers known about the whole, such as `bayes_accuracy`.
        flip_preserves_label: Whether a mirrored image keeps its label.

    Raises:
        DataError: A label has no class, or train and test differ in form.
    """

    name: str
    class_names: tuple[str, ...]
    train: Examples
    test: Examples
    facts: Mapping[str, float] = field(default_factory=dict)
    flip_preserves_label: bool = True

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            message = f"{self.name}: {self.num_classes} classes; at least 2 are needed"
            raise DataError(message)
        for split, examples in (("train", self.train), ("test", self.test)):
            self._check_classes(split, examples)
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            message = (
                f"{self.name}: train images of shape {self.train.images.shape[1:]} but "
                f"test images of {self.test.images.shape[1:]}"
            )
            raise DataError(message)
        if (self.train.posterior is None) != (self.test.posterior is None):
            message = f"{self.name}: a posterior for only one of train and test"
            raise DataError(message)

    def _check_classes(self, split: str, examples: Examples) -> None:
        outside = examples.labels >= self.num_classes
        if outside.any():
            first = int(np.argmax(outside))
            message = (
                f"{self.name}: {split} row {first} has label {examples.labels[first]}, "
                f"outside 0..{self.num_classes - 1} ({int(outside.sum())} such rows)"
            )
            raise DataError(message)
        posterior = examples.posterior
        if posterior is not None and posterior.shape[1] != self.num_classes:
            message = (
                f"{self.name}: {split} posterior over {posterior.shape[1]} classes; "
                f"the data set has {self.num_classes}"
            )
            raise DataError(message)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shapes, images, labels and posterior.

        The posterior enters in steps of 2**-20, so that the last bit of a
        processor's `exp` does not turn one data set into another.
        """
        sha = hashlib.sha256()
        for examples in (self.train, self.test):
            sha.update(np.array(examples.images.shape, dtype="<i8").tobytes())
            sha.update(np.ascontiguousarray(examples.images).data)
            sha.update(examples.labels.astype("<i8").tobytes())
            if examples.posterior is not None:
                sha.update(np.rint(examples.posterior * 2**20).astype("<i4").tobytes())
        return sha.hexdigest()

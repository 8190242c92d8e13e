"""What a calibrator remembers of the examples that it was fitted on."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from calibench.errors import DataError, LeakageError, ParameterError
from calibench.predictions import Predictions
from calibench.signatures import require_predictions
from calibench.validation import Split, split_name


@dataclass(frozen=True)
class FittingSet:
    """The split and the rows of a fit, so that none of them judges it.

    Attributes:
        split: The split that the rows were declared to be of.
        num_examples: How many rows.
        digest: SHA-256 of the rows and their labels, whatever their order.
    """

    split: Split | None
    num_examples: int
    digest: str

    @classmethod
    def of(cls, predictions: Predictions, method: str) -> "FittingSet":
        """Describe predictions that are about to be fitted on.

        Raises:
            LeakageError: They are of the test split.
            ParameterError: They are an array, not predictions.
        """
        require_predictions(predictions, f"{method}.fit")
        if predictions.split == "test":
            msg = (
                f"{method}: nothing is fitted on the test split, because it judges "
                "the fit. Give the calibration split."
            )
            raise LeakageError(msg)
        return cls(predictions.split, predictions.num_examples, _digest(predictions))

    def holds(self, predictions: Predictions) -> bool:
        """Whether predictions are of the same split, or are the same rows.

        The same rows in another order are found; a part of them, or the same examples
        in another dtype or kind, only by the name of their split.
        """
        if self.split is not None and predictions.split == self.split:
            return True
        return (
            predictions.num_examples == self.num_examples
            and _digest(predictions) == self.digest
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the three attributes, for JSON."""
        return {
            "split": self.split,
            "num_examples": self.num_examples,
            "digest": self.digest,
        }

    @classmethod
    def from_dict(cls, given: object) -> "FittingSet":
        """Read what `to_dict` wrote.

        Raises:
            DataError: It is something else.
        """
        keys = {"split", "num_examples", "digest"}
        if not isinstance(given, Mapping) or set(given) != keys:
            msg = f"fitted_on must hold {', '.join(sorted(keys))}, got {given!r:.80}."
            raise DataError(msg)
        split, count, digest = given["split"], given["num_examples"], given["digest"]
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            msg = f"fitted_on: num_examples must be at least 1, got {count!r:.80}."
            raise DataError(msg)
        if not _is_digest(digest):
            msg = f"fitted_on: digest is no SHA-256 in hexadecimal: {digest!r:.80}."
            raise DataError(msg)
        if not isinstance(split, str | None):
            msg = f"fitted_on: split is no name: {split!r:.80}."
            raise DataError(msg)
        try:
            return cls(split_name(split), count, digest)
        except ParameterError as error:
            msg = f"fitted_on: {error}"
            raise DataError(msg) from error


def _is_digest(given: object) -> bool:
    return (
        isinstance(given, str)
        and len(given) == 64
        and set(given) <= set("0123456789abcdef")
    )


def _digest(predictions: Predictions) -> str:
    # Adding 0 makes -0 and 0 one number. Rows are sorted as bytes: any order will do,
    # as long as it does not depend on how they came.
    columns = [predictions.labels[:, None], predictions.values + 0.0]
    rows = np.ascontiguousarray(np.hstack(columns), dtype="<f8")
    keys = rows.view(np.dtype((np.void, rows.shape[1] * 8))).ravel()
    return sha256(predictions.kind.encode() + np.sort(keys).tobytes()).hexdigest()

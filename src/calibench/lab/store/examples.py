"""What the columns of a stored table say about the examples of a split."""

from collections.abc import Mapping

import numpy as np

from calibench.lab.store.tables import Columns
from calibench.predictions import Predictions

_LOGIT, _POSTERIOR = "logit_", "posterior_"


def logit_columns(logits: np.ndarray) -> Columns:
    """Return a column for each class."""
    return _columns(_LOGIT, logits)


def posterior_columns(posterior: np.ndarray) -> Columns:
    """Return a column for each class."""
    return _columns(_POSTERIOR, posterior)


def predictions_of(columns: Mapping[str, np.ndarray], split: str) -> Predictions:
    """Return the stored logits of a split beside their labels.

    Raises:
        DataError: No example is of that split, or the numbers are no logits.
    """
    rows = columns["split"] == split
    logits = _matrix(columns, _LOGIT, rows)
    return Predictions.from_logits(logits, columns["label"][rows], split=split)


def posterior_of(columns: Mapping[str, np.ndarray], split: str) -> np.ndarray | None:
    """Return P(y | x) of the examples of a split; None where it is not known."""
    if f"{_POSTERIOR}0" not in columns:
        return None
    return _matrix(columns, _POSTERIOR, columns["split"] == split)


def _columns(prefix: str, values: np.ndarray) -> Columns:
    return {f"{prefix}{k}": column for k, column in enumerate(values.T)}


def _matrix(
    columns: Mapping[str, np.ndarray], prefix: str, rows: np.ndarray
) -> np.ndarray:
    count = sum(name.startswith(prefix) for name in columns)
    return np.stack([columns[f"{prefix}{k}"][rows] for k in range(count)], axis=1)

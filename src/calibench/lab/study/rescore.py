"""Recompute the metrics of a run from its stored logits."""

import numpy as np

from calibench.lab.store import RunFolder
from calibench.lab.store.tables import Columns
from calibench.lab.study.measure import MEASURED_SPLITS, epoch_rows
from calibench.predictions import Predictions


def rescore(folder: RunFolder) -> int:
    """Replace a run's metrics by what this version computes; return how many epochs.

    Epochs whose logits were not kept, and what only training knows (its loss and
    error), stay as they are.

    Raises:
        IntegrityError: A stored file is damaged; the old metrics stay.
        LockedError: The run is being trained.
    """
    with folder.owned():
        history = folder.history()
        posteriors = _posteriors(folder.examples()) if history.has_begun else {}
        rows_of = {}
        for epoch in history.epochs:
            rows = folder.rows(epoch)
            if epoch in history.kept_predictions:
                trained = [row for row in rows if row["split"] == "train"]
                some = stored_predictions(folder, epoch)
                rows = trained + epoch_rows(epoch, some, posteriors)
            rows_of[epoch] = rows
        if rows_of:
            folder.commit_scores(rows_of)
        return len(history.kept_predictions)


def stored_predictions(folder: RunFolder, epoch: int) -> dict[str, Predictions]:
    """Return the predictions of an epoch by split."""
    columns = folder.predictions(epoch)
    logits = _matrix(columns, "logit_")
    return {
        name: Predictions.from_logits(
            logits[chosen], columns["label"][chosen], split=name
        )
        for name in MEASURED_SPLITS
        if (chosen := columns["split"] == name).any()
    }


def _posteriors(columns: Columns) -> dict[str, np.ndarray]:
    if "posterior_0" not in columns:
        return {}
    posterior = _matrix(columns, "posterior_")
    return {name: posterior[columns["split"] == name] for name in MEASURED_SPLITS}


def _matrix(columns: Columns, prefix: str) -> np.ndarray:
    count = sum(name.startswith(prefix) for name in columns)
    return np.stack([columns[f"{prefix}{k}"] for k in range(count)], axis=1)

"""Recompute the metrics of a run from its stored logits."""

import numpy as np

from calibench.lab.store import RunFolder
from calibench.lab.store.examples import posterior_of, predictions_of
from calibench.lab.study.measure import MEASURED_SPLITS, epoch_rows


def rescore(run: RunFolder) -> int:
    """Replace a run's metrics by what this version computes; return how many epochs.

    Epochs whose logits were not kept, and what only training knows (its loss and
    error), stay as they are.

    Raises:
        IntegrityError: A stored file is damaged; the old metrics stay.
        LockedError: The run is being trained.
    """
    with run.owned() as folder:
        history = folder.history()
        posteriors = _posteriors(folder) if history.has_begun else {}
        rows_of = {}
        for epoch in history.epochs:
            rows = folder.rows(epoch)
            if epoch in history.kept_predictions:
                trained = [row for row in rows if row["split"] == "train"]
                columns = folder.predictions(epoch)
                some = {name: predictions_of(columns, name) for name in MEASURED_SPLITS}
                rows = trained + epoch_rows(epoch, some, posteriors)
            rows_of[epoch] = rows
        if rows_of:
            folder.commit_scores(rows_of)
        return len(history.kept_predictions)


def _posteriors(folder: RunFolder) -> dict[str, np.ndarray]:
    columns = folder.examples()
    known = {name: posterior_of(columns, name) for name in MEASURED_SPLITS}
    return {name: each for name, each in known.items() if each is not None}

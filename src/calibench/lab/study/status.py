"""How far a study is."""

from pathlib import Path
from typing import Any

from calibench.errors import IntegrityError
from calibench.lab.store import History, RunFolder, Store


def status_of(path: Path) -> list[dict[str, Any]]:
    """Return a row for each run; safe while the study is running."""
    store = Store.existing(path)
    epochs = store.study()["spec"]["train"]["epochs"]
    return [_row(folder, epochs) for folder in store.runs()]


def _row(folder: RunFolder, epochs: int) -> dict[str, Any]:
    failure, damage = folder.failure(), ""
    history, measured = History(()), {}
    try:
        history = folder.history()
        measured = _measured(folder, history)
    except IntegrityError as error:
        damage = str(error)
    if history.is_over:
        failure = None  # of an earlier try
    state = "failed" if failure else history.outcome
    return {
        "run_id": folder.run_id,
        "state": "damaged" if damage else state,
        "epoch": history.last_epoch,
        "of": epochs,
        "test_error_rate": measured.get("error_rate"),
        "test_top_label_ece": measured.get("top_label_ece"),
        "reason": damage or failure or history.reason,
    }


def _measured(folder: RunFolder, history: History) -> dict[str, Any]:
    """Return the last metrics of the test split; none before the first epoch."""
    rows = folder.rows(history.last_epoch, history) if history.epochs else []
    plain = [r for r in rows if r["split"] == "test" and r["calibrator"] == "none"]
    return plain[0] if plain else {}

"""How far a study is."""

from pathlib import Path
from typing import Any

from calibench.lab.store import RunFolder, Store
from calibench.lab.study.launch import failure_reason


def status_of(path: Path) -> list[dict[str, Any]]:
    """Return a row for each run; safe while the study is running."""
    store = Store.existing(path)
    epochs = store.study()["spec"]["train"]["epochs"]
    return [_row(store, folder, epochs) for folder in store.runs()]


def _row(store: Store, folder: RunFolder, epochs: int) -> dict[str, Any]:
    history = folder.history()
    failure = failure_reason(store, folder.run_id)
    row: dict[str, Any] = {
        "run_id": folder.run_id,
        "state": "failed" if failure else history.outcome,
        "epoch": history.last_epoch,
        "of": epochs,
        "test_error_rate": None,
        "test_top_label_ece": None,
        "reason": failure or history.reason,
    }
    if history.last_epoch:
        measured = next(
            r
            for r in folder.rows(history.last_epoch)
            if r["split"] == "test" and r["calibrator"] == "none"
        )
        row["test_error_rate"] = measured["error_rate"]
        row["test_top_label_ece"] = measured["top_label_ece"]
    return row

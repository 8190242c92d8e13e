"""Runs to disturb: one that costs nothing, and one that trains a small network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibench.lab.store import EpochFiles, RunFolder, Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import execute
from calibench.lab.study.load import load_study
from command_line import TINY

EPOCHS = 3
EXAMPLES = {
    "split": np.array(["test", "test"]),
    "example": np.array([0, 1], dtype=np.int32),
    "label": np.array([1, 0], dtype=np.int32),
}
SMALL = TINY.replace("260", "130").replace("= 60", "= 30").replace("= 4", "= 2")


def epoch_files(epoch: int) -> EpochFiles:
    return EpochFiles(
        rows=[{"epoch": epoch, "split": "test", "nll": 1 / epoch}],
        predictions=EXAMPLES | {"logit_0": np.full(2, epoch, dtype=np.float32)},
        checkpoint=f"state {epoch}".encode(),
    )


def carry_on(
    folder: RunFolder, acknowledge: Callable[[int], None] = lambda _: None
) -> None:
    """Do what is left of a run, as `execute` does, with an epoch that costs nothing."""
    with folder.owned():
        for epoch in folder.history().epochs:
            acknowledge(epoch)
        if folder.history().is_over:
            return
        folder.begin({"run": "some"}, EXAMPLES)
        found = folder.checkpoint()
        for epoch in range(1 + (found[0] if found else 0), EPOCHS + 1):
            folder.commit_epoch(epoch, epoch_files(epoch))
            acknowledge(epoch)
        folder.commit_event("end", outcome="finished")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file that equal runs have alike."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"lock", "timing.jsonl"}
    }


@dataclass(frozen=True)
class SmallStudy:
    """A study of two runs that takes a fifth of a second to carry one out."""

    folder: Path

    def prepared(self, path: Path) -> Store:
        file = self.folder / "study.toml"
        file.write_text(SMALL)
        study = load_study(file, allow_code=False)
        runs = [run.run_id for run in study.runs()]
        content = {"name": study.name, "spec": study.to_dict(), "runs": runs}
        return Store.prepared(path, content, SMALL)

    def run(self, store: Store, which: int = 0) -> None:
        execute(store, store.runs()[which].run_id, Conditions(data=self.folder))

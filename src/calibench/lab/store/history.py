"""What a journal says about a run."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class History:
    """The committed records of a run, and what follows from them."""

    records: tuple[dict[str, Any], ...]

    @property
    def has_begun(self) -> bool:
        """Whether anything was committed."""
        return bool(self.records)

    @cached_property
    def epochs(self) -> tuple[int, ...]:
        """The committed epochs, in order: 1, 2, ..."""
        return tuple(r["epoch"] for r in self.records if r["event"] == "epoch")

    @property
    def last_epoch(self) -> int:
        """The last committed epoch; 0 where there is none."""
        return self.epochs[-1] if self.epochs else 0

    @cached_property
    def files(self) -> dict[str, str]:
        """Every file that should exist, with its SHA-256, newest record winning."""
        files: dict[str, str] = {}
        for record in self.records:
            if record["event"] == "score":
                files = {
                    name: sha256
                    for name, sha256 in files.items()
                    if not name.startswith("metrics")
                }
            files |= record.get("files", {})
        return files

    @property
    def generation(self) -> int:
        """How often the metrics were computed: 1 during training, 2 after `score`."""
        return 1 + sum(record["event"] == "score" for record in self.records)

    @property
    def metrics_folder(self) -> str:
        """Where the metrics lie."""
        return "metrics" if self.generation == 1 else f"metrics-{self.generation}"

    @property
    def metrics_files(self) -> list[str]:
        """The metrics files of all committed epochs, in order."""
        return sorted(name for name in self.files if name.startswith("metrics"))

    @property
    def kept_predictions(self) -> tuple[int, ...]:
        """The epochs whose logits were kept."""
        return tuple(
            epoch
            for epoch in self.epochs
            if f"predictions/epoch-{epoch:04d}.parquet" in self.files
        )

    @property
    def outcome(self) -> str:
        """Whether the run is "waiting", "running", "finished" or "diverged"."""
        for record in self.records:
            if record["event"] == "end":
                return record["outcome"]
        return "running" if self.epochs else "waiting"

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: the run finished, or diverged."""
        return self.outcome in {"finished", "diverged"}

    @property
    def reason(self) -> str | None:
        """Why the run ended early, where it did."""
        ends = [r for r in self.records if r["event"] == "end"]
        return ends[0].get("reason") if ends else None

    @property
    def drifts(self) -> list[list[str]]:
        """Each change of software, hardware or data that the user allowed."""
        return [r["changes"] for r in self.records if r["event"] == "drift"]

    def is_dropped(self, name: str, kept_checkpoints: int) -> bool:
        """Whether a file is an old checkpoint, which is no longer kept."""
        current = {
            f"checkpoints/epoch-{epoch:04d}.pt"
            for epoch in self.epochs[-kept_checkpoints:]
        }
        return name.startswith("checkpoints/") and name not in current

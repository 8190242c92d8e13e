"""Under what a run is carried out. Light: a worker has it before torch loads."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Under what a run is carried out; nothing here may change its result.

    Attributes:
        data: Where data sets lie.
        device: "auto", "cpu" or "cuda".
        allow_drift: Resume under another fingerprint, and mark the run.
        allow_code: Import what the study names by `module:name`.
        step: In which of `training.step.WAYS` a step is taken; None for that with
            which the run was begun, or the quickest.
        deterministic: Whether only kernels that repeat themselves are used; None for
            what the run was begun with, or yes.
        memory_format: One of `training.memory_format.FORMATS`; None for that with which
            the run was begun, or that was chosen for the study.
        spare_core: A core has nothing to do beside the one that trains.
        ranks: Processes that share every batch of a run, on a device each.
    """

    data: Path
    device: str = "auto"
    allow_drift: bool = False
    allow_code: bool = False
    step: str | None = None
    deterministic: bool | None = None
    memory_format: str | None = None
    spare_core: bool = False
    ranks: int = 1

    def as_begun(self, fingerprint: Mapping[str, str]) -> "Conditions":
        """Return the same, with what is left open as it was when the run was begun."""
        begun = fingerprint.get("deterministic", "yes") == "yes"
        return replace(
            self,
            step=self.step or fingerprint.get("compile"),
            memory_format=self.memory_format or fingerprint.get("memory_format"),
            deterministic=begun if self.deterministic is None else self.deterministic,
        )

    @property
    def overlap(self) -> bool:
        """Whether an epoch is stored while the next trains, which needs a core."""
        return self.spare_core or self.device == "cuda"

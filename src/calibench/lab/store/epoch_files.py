"""What one epoch leaves behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calibench.lab.store.tables import Columns

Row = dict[str, Any]


@dataclass(frozen=True)
class EpochFiles:
    """What one epoch leaves behind.

    Attributes:
        rows: The metrics, one row per split and calibrator.
        predictions: Columns `split`, `example`, `label`, `logit_0`, ...; None where
            the study keeps the logits of fewer epochs.
        checkpoint: The training state, from which the next epoch can start.
    """

    rows: Sequence[Row]
    predictions: Columns | None
    checkpoint: bytes

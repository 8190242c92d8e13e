"""Files of a run that its journal does not name."""

import re
from pathlib import Path

_EPOCH = re.compile(r"epoch-(\d+)\.[a-z]+")


def unrecorded(run: Path, last_epoch: int) -> list[str]:
    """Return a line if there are files that only a longer journal can explain.

    An epoch's files are written before its record, so one epoch more than the journal
    has is what a kill leaves. Two more are records that were lost.
    """
    epochs = [
        int(found[1])
        for path in run.glob("*/*")
        if (found := _EPOCH.fullmatch(path.name))
    ]
    newest = max(epochs, default=0)
    if newest <= last_epoch + 1:
        return []
    return [
        f"{run / 'journal.jsonl'}: ends at epoch {last_epoch}, and there are files of "
        f"epoch {newest}. Restore it from a copy, or run again: those epochs are "
        "trained anew."
    ]

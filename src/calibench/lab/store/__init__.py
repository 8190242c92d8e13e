"""Runs on disk, written so that nothing acknowledged is ever lost."""

from calibench.lab.store.history import History
from calibench.lab.store.run_folder import EpochFiles, RunFolder
from calibench.lab.store.store import Store

__all__ = ["EpochFiles", "History", "RunFolder", "Store"]

"""Runs on disk, written so that nothing acknowledged is ever lost."""

from calibench.lab.store.epoch_files import EpochFiles
from calibench.lab.store.history import History
from calibench.lab.store.run_folder import RunFolder
from calibench.lab.store.store import Store

__all__ = ["EpochFiles", "History", "RunFolder", "Store"]

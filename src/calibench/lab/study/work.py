"""Be a worker: carry out one run, and end with the exit code of the command line."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from calibench.errors import (
    CalibenchError,
    InterruptedRunError,
    LockedError,
    ResourceError,
    system_refusal,
)
from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import execute
from calibench.lab.study.ranked_run import execute_on_ranks


def work(
    path: Path,
    run_id: str,
    conditions: Conditions,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Carry out a run of the store at `path`; return an exit code, noting a failure."""
    store = Store(path)
    try:
        carry_out = execute if conditions.ranks == 1 else execute_on_ranks
        carry_out(store, run_id, conditions, is_stopping=is_stopping)
    except (InterruptedRunError, LockedError) as error:
        # No fault of the run; its folder may be another process's to write in.
        return error.exit_code
    except CalibenchError as error:
        return _failed(store, run_id, error.exit_code, str(error))
    except OSError as error:
        return _failed(store, run_id, 4, system_refusal(error))
    except (MemoryError, torch.OutOfMemoryError):
        reason = "out of memory. Lower batch_size or --workers."
        return _failed(store, run_id, 4, reason)
    except Exception as error:  # noqa: BLE001 - a user's loss may raise anything
        words = f"{type(error).__name__}: {error}"
        return _failed(store, run_id, 1, words.removesuffix(": "))
    return 0


def _failed(store: Store, run_id: str, exit_code: int, reason: str) -> int:
    try:
        store.run(run_id).note_failure(reason)
    except ResourceError:
        # A full disk has no room for the note either; the terminal has.
        sys.stderr.write(f"{run_id}: {reason}\n")
    return exit_code

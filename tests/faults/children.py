"""Work in a child process that may die, and how it ended."""

import os
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from calibench.errors import CalibenchError
from calibench.lab.store import tables

ACCIDENT = 99
_KEPT: list = []


def ending(work: Callable[[], None], log: Path) -> int:
    """Return how `work` ended in a fork of this process.

    0, the exit code of an error of ours, 4 where the system refused (as the command
    line has it), minus the signal that killed it, or ACCIDENT: anything else. What an
    accident says is in `log`.
    """
    with warnings.catch_warnings():
        # From Python 3.12 on a fork beside threads warns; this child never joins them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = ACCIDENT
        try:
            code = _code(work, log)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _code(work: Callable[[], None], log: Path) -> int:
    forget_connection()
    try:
        work()
    except CalibenchError as error:
        log.write_text(str(error))
        return error.exit_code
    except OSError as error:
        log.write_text(f"OSError: {error}")
        return 4
    except BaseException:  # noqa: BLE001 - what it is, is the finding
        log.write_text(traceback.format_exc())
        return ACCIDENT
    return 0


def forget_connection() -> None:
    """Leave DuckDB's connection to the parent of this fork, whose it is."""
    _KEPT.append(tables._connection())
    tables._connection.cache_clear()

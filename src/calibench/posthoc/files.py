"""Keep fitted calibrators as JSON: strict to read, exact to the bit."""

import json
import os
from pathlib import Path
from typing import Any, NoReturn

from calibench.errors import DataError, ParameterError
from calibench.posthoc.calibrator import Calibrator
from calibench.posthoc.menu import CALIBRATORS
from calibench.validation import member

_FORMAT = "calibench calibrator 1"
# The menu, and what needs more than a method's name and numbers to be fitted.
# Matrix scaling of 1,000 classes takes 20 MB.
_LARGEST_BYTES = 2**28


def save(calibrator: Calibrator, path: Path | str) -> None:
    """Write a calibrator as JSON; the file appears whole or not at all.

    Raises:
        OSError: The disk is full, a permission is missing, ...
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    content = {"format": _FORMAT, **calibrator.to_dict()}
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: Path | str) -> Calibrator:
    """Read a calibrator that `save` wrote; nothing is repaired and nothing executed.

    Raises:
        DataError: The file is missing, or is something else; the message names it.
        OSError: It may not be read.
    """
    path = Path(path)
    try:
        return _calibrator(_content(path))
    except DataError as error:
        msg = f"{path}: {error}"
        raise DataError(msg) from error


def _content(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    if not path.is_file():
        msg = "is a folder, not a file." if path.is_dir() else "does not exist."
        raise DataError(msg)
    if path.stat().st_size > _LARGEST_BYTES:
        msg = f"is larger than {_LARGEST_BYTES:,} bytes, which no calibrator is."
        raise DataError(msg)
    try:
        return json.loads(
            path.read_bytes().decode("utf-8"),
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_repetition,
        )
    except (ValueError, RecursionError) as error:
        msg = f"is no readable JSON: {error}"
        raise DataError(msg) from error


def _calibrator(content: object) -> Calibrator:
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        msg = f"is no calibrator: it does not say 'format': {_FORMAT!r}."
        raise DataError(msg)
    method = content.get("method")
    if not isinstance(method, str):
        msg = f"method must be a name, got {method!r:.80}."
        raise DataError(msg)
    try:
        chosen = CALIBRATORS[member(method, tuple(CALIBRATORS), "method")]
    except ParameterError as error:
        raise DataError(str(error)) from error
    return chosen.from_dict(content)


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not a number."
    raise ValueError(msg)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    repeated = {key for key in keys if keys.count(key) > 1} if len(keys) < 99 else {""}
    if repeated:
        msg = f"a table repeats keys, or has too many: {sorted(repeated)!r:.80}"
        raise ValueError(msg)
    return dict(pairs)

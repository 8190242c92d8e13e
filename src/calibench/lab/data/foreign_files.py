"""Files from elsewhere: whatever is wrong with one is bad data, never a crash."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calibench.errors import DataError

# RuntimeError is an encrypted zip member (and an unknown compression), KeyError an
# absent one, SyntaxError how the image library calls a damaged PNG.
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    SyntaxError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn the errors of reading a file into one that names the file.

    Args:
        path: Of the file.
        expected: What it should have been, as in "not a {expected}".

    Raises:
        DataError: Says what is wrong; one raised inside passes unchanged.
    """
    try:
        yield
    except DataError:
        raise
    except UNREADABLE as error:
        reason = str(error) or type(error).__name__
        message = f"{path}: not a {expected} ({reason})"
        raise DataError(message) from error

"""Damage of `.npz` and `.npy` files, told from what the system refuses to read."""

import errno
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from calibench.errors import DataError

# What zipfile, zlib and numpy's header parser raise on damaged input.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    RuntimeError,
    ValueError,
    KeyError,
)


@contextmanager
def archive_damage() -> Iterator[None]:
    """Say that an archive is damaged, unless the system refuses to read it.

    Raises:
        DataError: It is damaged.
        OSError: It may not be read.
    """
    try:
        yield
    except DataError:
        raise
    except (*DAMAGE, OSError) as error:
        # zipfile calls a file "no zip file" where its end could not even be read.
        for cause in (error, error.__context__):
            if isinstance(cause, OSError) and cause.errno != errno.EINVAL:
                raise cause from None
        # EINVAL: a damaged directory sends the reader to impossible places.
        msg = f"not a readable .npz archive ({error}). Write it again with numpy.savez."
        raise DataError(msg) from error

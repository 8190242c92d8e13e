"""One HTTP request for the rest of a file of known size, its failures told apart."""

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

BLOCK = 1 << 16
_RETRIED = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class RefusedError(Exception):
    """This server does not have the file; asking it again will not help."""


class BrokenError(Exception):
    """The transfer failed on the way; asking again may help."""


def open_rest(
    url: str, *, start: int, size: int, stall: float
) -> tuple[int, Iterator[bytes]]:
    """Ask for the bytes of a file from `start` on.

    Args:
        url: http or https.
        start: Bytes that are there already.
        size: Bytes of the whole file.
        stall: Seconds within which the next 64 KiB must arrive.

    Returns:
        Where the answer begins, `start` or 0 where the server cannot resume, and
        the answer in blocks.

    Raises:
        RefusedError: The answer is an error, a page, or a file of another size.
        BrokenError: The server or the line failed. Reading the blocks raises it too.
    """
    headers = {"User-Agent": "calibench", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (see `url`)
    try:
        response = urllib.request.urlopen(request, timeout=stall)  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        is_passing = error.code >= 500 or error.code in _RETRIED
        kind = BrokenError if is_passing else RefusedError
        message = f"answered {error.code} {error.reason}"
        raise kind(message) from error
    except (OSError, http.client.HTTPException) as error:
        raise _broken(error) from error
    try:
        begin = _check_offer(response, start, size)
    except RefusedError:
        response.close()
        raise
    return begin, _blocks(response, stall)


def _check_offer(response: http.client.HTTPResponse, start: int, size: int) -> int:
    """Return where the answer begins; refuse one that cannot be the file."""
    begin = 0
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        content_range = response.headers.get("Content-Range", "")
        if not re.fullmatch(rf"bytes {start}-\d+/({size}|\*)", content_range):
            message = f"sent the wrong part ({content_range!r})"
            raise RefusedError(message)
        begin = start
    if response.headers.get_content_type() == "text/html":
        message = "sent an HTML page instead of the file"
        raise RefusedError(message)
    length = response.headers.get("Content-Length")
    if length is not None and length.strip() != str(size - begin):
        message = f"offers {length} bytes; expected {size - begin}"
        raise RefusedError(message)
    return begin


def _blocks(response: http.client.HTTPResponse, stall: float) -> Iterator[bytes]:
    """Yield what arrives; give up on a line that only drips."""
    recent, deadline = 0, time.monotonic() + stall
    with closing(response):
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _broken(error) from error
            if not block:
                return
            yield block
            recent += len(block)
            if recent >= BLOCK:
                recent, deadline = 0, time.monotonic() + stall
            elif time.monotonic() > deadline:
                message = f"stalled: under {BLOCK:,} bytes in {stall:g} s"
                raise BrokenError(message)


def _broken(error: Exception) -> BrokenError:
    reason = getattr(error, "reason", None) or error
    return BrokenError(f"{type(error).__name__}: {reason}")

"""What the messages of an Arrow file declare, before any of it is decoded.

A file and a stream are both a row of messages, each a header (a flatbuffer) and a body.
pyarrow decodes a body as soon as it reads one, so whoever must not be surprised by its
size reads the header first.

Source: the Arrow columnar format, "Serialization and Interprocess Communication", and
its Message.fbs.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader

FILE_MAGIC = b"ARROW1"
_CONTINUES = b"\xff\xff\xff\xff"
_LARGEST_HEADER = 2**26
_DICTIONARY, _RECORDS = 2, 3


@dataclass(frozen=True)
class RecordHeader:
    """A batch of records, as its message declares it.

    Attributes:
        num_rows: How many rows.
        num_bytes: Of its body once it is unfolded.
        is_dictionary: Whether it holds the values of a dictionary, not rows.
        is_packed: Whether it is compressed.
    """

    num_rows: int
    num_bytes: int
    is_dictionary: bool
    is_packed: bool


def record_headers(stream: BufferedReader, size: int) -> Iterator[RecordHeader]:
    """Walk over a file or a stream of Arrow from its start, skipping the bodies.

    Raises:
        ValueError: It is cut, or a header is none.
    """
    stream.seek(8 if stream.read(len(FILE_MAGIC)) == FILE_MAGIC else 0)
    while header := _next_header(stream):
        start = stream.tell()
        try:
            message = _Table.root(header)
            body = message.number(3, "q")
            found = _record_header(message, stream, start, body)
        except struct.error as error:
            msg = "a message's header is damaged"
            raise ValueError(msg) from error
        if body < 0 or start + body > size:
            msg = f"a message declares {body:,} bytes, which the file does not have"
            raise ValueError(msg)
        if found is not None:
            yield found
        stream.seek(start + body)


def _next_header(stream: BufferedReader) -> bytes:
    length = stream.read(4)
    # Versions of the format before 0.15 leave the mark out.
    if length == _CONTINUES:
        length = stream.read(4)
    count = int.from_bytes(length, "little", signed=True)
    if count == 0:
        return b""
    header = stream.read(count) if 0 < count <= _LARGEST_HEADER else b""
    if len(header) < max(count, 1):
        msg = "a message's header is cut or damaged"
        raise ValueError(msg)
    return header


def _record_header(
    message: "_Table", stream: BufferedReader, start: int, body: int
) -> RecordHeader | None:
    kind = message.number(1, "B")
    if kind not in {_DICTIONARY, _RECORDS}:
        return None
    records = message.table(2)
    if kind == _DICTIONARY:
        records = records.table(1)
    num_bytes, is_packed = body, records.has(3)
    if is_packed:
        # Each packed part begins with its size once it is unfolded, or -1.
        num_bytes = 0
        for offset, length in records.pairs(2):
            stream.seek(start + offset)
            unfolded = int.from_bytes(stream.read(8), "little", signed=True)
            num_bytes += max(unfolded, length) if length else 0
    num_rows = records.number(0, "q")
    if num_rows < 0:
        msg = f"a record batch declares {num_rows:,} rows"
        raise ValueError(msg)
    return RecordHeader(num_rows, num_bytes, kind == _DICTIONARY, is_packed)


@dataclass(frozen=True)
class _Table:
    """A table of a flatbuffer: a list of offsets, by the number of the field."""

    content: bytes
    at: int

    @classmethod
    def root(cls, content: bytes) -> "_Table":
        return cls(content, _read(content, "I", 0))

    def _field(self, number: int) -> int:
        fields = self.at - _read(self.content, "i", self.at)
        is_there = 4 + 2 * number < _read(self.content, "H", fields)
        offset = _read(self.content, "H", fields + 4 + 2 * number) if is_there else 0
        return self.at + offset if offset else 0

    def has(self, number: int) -> bool:
        return bool(self._field(number))

    def number(self, number: int, form: str) -> int:
        at = self._field(number)
        return _read(self.content, form, at) if at else 0

    def table(self, number: int) -> "_Table":
        at = self._field(number)
        return _Table(self.content, at + _read(self.content, "I", at))

    def pairs(self, number: int) -> list[tuple[int, int]]:
        at = self._field(number)
        if not at:
            return []
        start = at + _read(self.content, "I", at)
        count = _read(self.content, "I", start)
        content = self.content[start + 4 : start + 4 + 16 * count]
        return list(struct.iter_unpack("<qq", content))


def _read(content: bytes, form: str, at: int) -> int:
    if at < 0:
        msg = "an offset points before the header"
        raise struct.error(msg)
    (number,) = struct.unpack_from(f"<{form}", content, at)
    return int(number)

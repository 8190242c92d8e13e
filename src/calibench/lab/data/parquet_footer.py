"""What the footer of a Parquet file says of a column, read without pyarrow.

pyarrow checks the metadata of a column where no exception can leave C++, so a damaged
footer ends the process. Its readers of data report the same damage as an error.

Source: parquet.thrift (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData), in
Thrift's compact protocol.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

# Kinds of the compact protocol.
_TRUE, _FALSE, _BYTE, _DOUBLE, _TEXT, _LIST, _SET, _MAP, _STRUCT, _UUID = (
    1, 2, 3, 7, 8, 9, 10, 11, 12, 13,
)  # fmt: skip
_NUMBERS = {4, 5, 6}
_WIDTHS = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8, _UUID: 16}
_DEEPEST = 40

# Numbers of the fields.
_ROW_GROUPS, _COLUMNS, _METADATA = 4, 1, 3
_PATH, _NUM_VALUES, _COMPRESSED, _DATA_PAGE, _DICTIONARY_PAGE = 3, 5, 7, 9, 11


@dataclass(frozen=True)
class ColumnChunk:
    """A column in one row group.

    Attributes:
        row_group: Which one, from 0.
        num_values: How many numbers, those in lists each counted.
        stored: Bytes in the file.
        first_page: Where they begin.
    """

    row_group: int
    num_values: int
    stored: int
    first_page: int


def column_chunks(stream: io.BufferedIOBase, name: str) -> Iterator[ColumnChunk]:
    """The chunks of a column of this name, or of what is nested in it.

    Raises:
        ValueError: The footer is damaged.
    """
    end = stream.seek(-8, io.SEEK_END)
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(max(end - length, 0))
    footer = _Compact(stream.read(length))
    try:
        for field, kind in footer.fields():
            if (field, kind) != (_ROW_GROUPS, _LIST):
                footer.skip(kind)
                continue
            for group in range(footer.items()[1]):
                yield from _in_group(footer, group, name.encode())
    except IndexError as error:
        msg = "its footer is cut"
        raise ValueError(msg) from error


def _in_group(footer: "_Compact", group: int, name: bytes) -> Iterator[ColumnChunk]:
    for field, kind in footer.fields():
        if (field, kind) != (_COLUMNS, _LIST):
            footer.skip(kind)
            continue
        for _ in range(footer.items()[1]):
            for part, part_kind in footer.fields():
                if (part, part_kind) != (_METADATA, _STRUCT):
                    footer.skip(part_kind)
                    continue
                path, numbers = _column(footer)
                if path == name:
                    data_page = numbers.get(_DATA_PAGE, 0)
                    yield ColumnChunk(
                        group,
                        numbers.get(_NUM_VALUES, 0),
                        numbers.get(_COMPRESSED, 0),
                        min(data_page, numbers.get(_DICTIONARY_PAGE) or data_page),
                    )


def _column(footer: "_Compact") -> tuple[bytes, dict[int, int]]:
    path, numbers = b"", {}
    for field, kind in footer.fields():
        if kind in _NUMBERS:
            numbers[field] = footer.number()
        elif (field, kind) == (_PATH, _LIST):
            names = [footer.text() for _ in range(footer.items()[1])]
            path = names[0] if names else b""
        else:
            footer.skip(kind)
    return path, numbers


class _Compact:
    """A place in a structure of Thrift's compact protocol."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """The number and kind of each field; who asks for the next took its value."""
        field = 0
        while head := self._byte():
            step = head >> 4
            field = field + step if step else self.number()
            yield field, head & 15

    def items(self) -> tuple[int, int]:
        """The kind of the items of a list, and how many there are."""
        head = self._byte()
        count = head >> 4
        return head & 15, self._varint() if count == 15 else count

    def number(self) -> int:
        """A signed number."""
        zigzag = self._varint()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def text(self) -> bytes:
        """Bytes behind their length."""
        length = self._varint()
        self.at += length
        return self.content[self.at - length : self.at]

    def skip(self, kind: int, depth: int = 0) -> None:
        """Go on behind a value.

        Raises:
            ValueError: There is no such kind, or it is nested too deeply.
        """
        if kind in _NUMBERS:
            self._varint()
        elif kind in _WIDTHS:
            self.at += _WIDTHS[kind]
        elif kind == _TEXT:
            self.text()
        elif depth > _DEEPEST or kind not in {_LIST, _SET, _MAP, _STRUCT}:
            msg = f"its footer has a value of kind {kind}, {depth} deep"
            raise ValueError(msg)
        elif kind == _STRUCT:
            for _, each in self.fields():
                self.skip(each, depth + 1)
        else:
            self._skip_items(kind, depth + 1)

    def _skip_items(self, kind: int, depth: int) -> None:
        if kind == _MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            each = [kinds >> 4, kinds & 15]
        else:
            first, count = self.items()
            each = [first]
        for _ in range(count):
            for item in each:
                # In a list true and false take a byte; alone they are their kind.
                self.skip(_BYTE if item in {_TRUE, _FALSE} else item, depth)
            if self.at > len(self.content):
                msg = "its footer is cut"
                raise ValueError(msg)

    def _byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7

"""Whether the pages of a Parquet file carry checksums; its footer does not say."""

from io import BufferedReader

from calibench.lab.data.parquet_footer import column_chunks

# The header of a page begins with its type and two sizes; then comes the checksum, if
# there is one. In Thrift's compact form each has a byte: 1 << 4 for "the next field",
# and the type, 5 for a 32-bit number.
_NEXT_NUMBER = 0x15
_FIELDS_BEFORE = 3
_LONGEST_HEADER = 64


def page_has_checksum(stream: BufferedReader, name: str) -> bool:
    """Whether the first page of a column has one; a writer sets all or none.

    Args:
        stream: The open file.
        name: The column.
    """
    for chunk in column_chunks(stream, name):
        stream.seek(chunk.first_page)
        return has_checksum(stream.read(_LONGEST_HEADER))
    return False


def has_checksum(header: bytes) -> bool:
    """Whether the header of a page has the field of the checksum.

    >>> has_checksum(bytes([0x15, 0, 0x15, 8, 0x15, 8, 0x15, 2, 0x2C]))
    True
    >>> has_checksum(bytes([0x15, 0, 0x15, 8, 0x15, 8, 0x2C, 0, 0x00]))
    False
    """
    at = 0
    for _ in range(_FIELDS_BEFORE):
        if header[at : at + 1] != bytes([_NEXT_NUMBER]):
            return False
        at += 1
        # A number ends at the first byte below 128.
        while header[at : at + 1] >= b"\x80":
            at += 1
        at += 1
    return header[at : at + 1] == bytes([_NEXT_NUMBER])

"""Rows of values as aligned lines, for people and for `column`-minded programs."""

from collections.abc import Mapping, Sequence
from typing import Any


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a header and a line for each row; all rows have the first one's keys.

    >>> print(text_table([{"run": "a", "gap": -1e-9}, {"run": "long", "gap": None}]))
    run   gap
    a     0.0000
    long  -
    """
    if not rows:
        return "nothing"
    lines = [list(rows[0]), *([_cell(row[key]) for key in rows[0]] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(each)}" for key, each in value.items()) or "-"
    # Control characters in a name must not reach the terminal.
    return "".join(
        c if c.isprintable() else "?"
        for c in (f"{value:z.4f}" if isinstance(value, float) else str(value))
    )

"""Prediction files in CSV: valid ones in many spellings, and ones with one fault."""

from random import Random

from fuzzing.case import Case, Examples
from fuzzing.examples import drawn, spoiled

_BAD_NUMBERS = [
    "nan", "inf", "-inf", "1e999", "-1e999", "", " ", "half", "0x1p-1", "0.5 0.5",
    "--1", "0.5f", "1e", "None", "NULL", "1/2", "0;5", "½", "\x00", "0.5\x00", "1_0",
    "\N{ARABIC-INDIC DIGIT ONE}", "\N{FULLWIDTH DIGIT ONE}",
    "'0.5'", "=0.5", "1j", "[0.5]", "1" * 400, "\x1b[2J", "true",
]  # fmt: skip
_BAD_LABELS = [
    "-1", "1.0", "99", "cat", "", "1e0", "0.5", "9" * 30, "0x1", "1 1", "NaN", "True",
    "\x00", "²", "-0", "\N{ARABIC-INDIC DIGIT ONE}",
]  # fmt: skip


def valid(some: Examples, rng: Random) -> dict[str, bytes]:
    """A file that says the same, in a spelling drawn from those that are allowed."""
    grid = _grid(some)
    order = rng.sample(range(len(grid[0])), len(grid[0]))
    if rng.random() < 0.4:
        grid = [[row[c] for c in order] for row in grid]
    if rng.random() < 0.3:
        texts = ["id", "a,b", 'said "so"', "line\nend", "é", "", "=1+1", "0"]
        grid = [
            [*row, rng.choice(texts) if i else "note"] for i, row in enumerate(grid)
        ]
    quoted = rng.random() < 0.3
    text = _text(grid, quoted=quoted, end=rng.choice(["\n", "\n", "\r\n"]))
    mark = b"\xef\xbb\xbf" if rng.random() < 0.2 else b""
    return {"a.csv": mark + text.encode()}


def structured(rng: Random) -> Case:
    """A file of which one thing is known: that it must be read, or refused."""
    name = rng.choice(list(_FAULTS))
    if name == "spoiled":
        some, why = spoiled(rng)
        return Case(valid(some, rng), "refused", why, some)
    some = drawn(rng)
    if name == "valid":
        return Case(valid(some, rng), "same", name, some)
    text = _FAULTS[name](_grid(some), rng)
    return Case({"a.csv": text.encode("utf-8", "surrogatepass")}, "refused", name, some)


def _grid(some: Examples) -> list[list[str]]:
    prefix = some.kind.removesuffix("s")
    count = some.values.shape[1]
    header = ["label", *(f"{prefix}_{k}" for k in range(count))]
    rows = [
        [_label(label), *(repr(float(v)) for v in row)]
        for label, row in zip(some.labels, some.values, strict=True)
    ]
    return [header, *rows]


def _label(label: float) -> str:
    return str(int(label)) if label == label // 1 else str(float(label))


def _text(grid: list[list[str]], *, quoted: bool = False, end: str = "\n") -> str:
    def cell(text: str) -> str:
        if quoted or any(mark in text for mark in ',"\r\n'):
            return '"' + text.replace('"', '""') + '"'
        return text

    return "".join(",".join(map(cell, row)) + end for row in grid)


def _bad_cell(grid: list[list[str]], rng: Random) -> str:
    column = rng.randrange(len(grid[0]))
    bad = rng.choice(_BAD_NUMBERS if column else _BAD_LABELS)
    grid[rng.randrange(1, len(grid))][column] = bad
    return _text(grid)


def _bad_width(grid: list[list[str]], rng: Random) -> str:
    row = grid[rng.randrange(len(grid))]
    if rng.random() < 0.5:
        row.append(rng.choice(["", "0", "0.5"]))
    else:
        row.pop()
    return _text(grid)


def _bad_header(grid: list[list[str]], rng: Random) -> str:
    header = grid[0]
    # Without their last column K classes may be K - 1, and class 1 of two is a binary
    # problem by itself; the others must be there.
    column = rng.choice([0, 2] if len(header) == 3 else range(len(header) - 1))
    change = rng.choice(["double", "rename", "drop", "space", "case", "deep", "far"])
    header[column] = {
        "double": header[column - 1],
        "rename": "x",
        "drop": "",
        "space": " " + header[column],
        "case": header[column].upper(),
        "deep": "[" * 2000,
        "far": header[column] + "0" * 300 if column else "labels",
    }[change]
    return _text(grid)


def _bad_end(grid: list[list[str]], rng: Random) -> str:
    return _text(grid)[:-1]


def _blank_line(grid: list[list[str]], rng: Random) -> str:
    grid.insert(rng.randint(1, len(grid)), [])
    return _text(grid)


def _open_quote(grid: list[list[str]], rng: Random) -> str:
    lines = _text(grid).splitlines(keepends=True)
    i = rng.randrange(len(lines))
    lines[i] = '"' + lines[i]
    return "".join(lines)


def _header_alone(grid: list[list[str]], rng: Random) -> str:
    return _text(grid[:1])


def _sixteen_bits(grid: list[list[str]], rng: Random) -> str:
    return "".join(mark + "\0" for mark in _text(grid))


_FAULTS = {
    "valid": None,
    "spoiled": None,
    "bad cell": _bad_cell,
    "bad width": _bad_width,
    "bad header": _bad_header,
    "no line end": _bad_end,
    "blank line": _blank_line,
    "open quote": _open_quote,
    "header alone": _header_alone,
    "utf-16": _sixteen_bits,
}

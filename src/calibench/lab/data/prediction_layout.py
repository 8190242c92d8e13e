"""What a file of predictions holds, by the names of its arrays or columns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calibench.errors import DataError
from calibench.validation import member

KINDS = ("logits", "probs")
# Numbers read at a time: many beside the cells of a state, few beside the memory.
_CHUNK = 2**20
_COLUMN_PREFIX = {"logits": "logit_", "probs": "prob_"}
_HOW_TO_NAME = (
    "Name the predictions logits or probs (one column per class: logit_0, logit_1, "
    "... or prob_0, prob_1, ...)."
)


@dataclass(frozen=True)
class Wanted:
    """What is to be read of a file beside its labels.

    Attributes:
        kind: "logits" or "probs"; None where the file holds only one of them.
        by: A column, or an array with one entry per example, that names groups.
        weights: Likewise, that says how often each example is there.
    """

    kind: str | None = None
    by: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        """Refuse a kind that there is not.

        Raises:
            ParameterError: `kind` is neither.
        """
        if self.kind is not None:
            member(self.kind, KINDS, "kind")

    def vectors(self) -> list[str]:
        """Columns or arrays with one entry per example, besides the labels."""
        return [name for name in (self.by, self.weights) if name is not None]

    def told_apart(
        self, read: Sequence[np.ndarray]
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The groups and the weights among what was read for `vectors`."""
        of = dict(zip(self.vectors(), read, strict=True))
        return of.get(self.by or ""), of.get(self.weights or "")


@dataclass(frozen=True)
class Layout:
    """What a file holds, as its header or its metadata declare.

    Attributes:
        kind: "logits" or "probs".
        width: Numbers in a row.
        num_rows: How many examples, where that is declared.
        cuts: Rows at which reading may begin, the first 0: of each row group or record
            batch. Empty where a file can only be read from its start.
        has_checksums: Whether a flipped bit in the numbers would be seen.
    """

    kind: str
    width: int
    num_rows: int | None
    cuts: Sequence[int] = ()
    has_checksums: bool = False

    @property
    def num_classes(self) -> int:
        """K: a single column is a binary problem."""
        return max(self.width, 2)


@dataclass(frozen=True)
class Span:
    """Some rows of a file that are read together.

    Attributes:
        start: The first of them.
        stop: The one after the last; None for all that come.
        units: Which row groups or record batches they are, where a file has those;
            empty for all.
        width: Numbers in a row, as the layout says.
    """

    start: int = 0
    stop: int | None = None
    units: range = range(0)
    width: int = 0


@dataclass(frozen=True, eq=False)
class RawChunk:
    """Some rows as stored, not yet checked.

    Attributes:
        kind: "logits" or "probs".
        values: One row for each example.
        labels: Their class ids.
        groups: What the column of groups says, if one was asked for.
        start: The first row, counted from the start of the file.
        size: Bytes of the file that they take; 0 where only the rows tell.
        weights: What the column of weights says, if one was asked for.
    """

    kind: str
    values: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None
    start: int = 0
    size: int = 0
    weights: np.ndarray | None = None

    def of(self, rows: np.ndarray | slice) -> "RawChunk":
        """Some of the rows."""
        groups = None if self.groups is None else self.groups[rows]
        weights = None if self.weights is None else self.weights[rows]
        return RawChunk(
            self.kind,
            self.values[rows],
            self.labels[rows],
            groups,
            self.start,
            weights=weights,
        )


def choose_kind(present: list[str], kind: str | None, found: list[str]) -> str:
    """Choose among the kinds that a file holds."""
    if kind is None and len(present) == 1:
        return present[0]
    if kind in present:
        return kind
    if kind is None and present:
        msg = "holds both logits and probs. Say which with kind (--kind)."
        raise DataError(msg)
    wanted = kind or "neither logits nor probs"
    names = listed(found)
    msg = f"{'no ' if kind else ''}{wanted} among {names}. {_HOW_TO_NAME}"
    raise DataError(msg)


def choose_columns(header: list[str], wanted: Wanted) -> tuple[str, str, list[str]]:
    """Find the kind, the label's column and those of the classes in a header."""
    refuse_repeated(header)
    present = [
        k for k in KINDS if any(name.startswith(_COLUMN_PREFIX[k]) for name in header)
    ]
    chosen = choose_kind(present, wanted.kind, header)
    require(["label", *wanted.vectors()], header, "column")
    prefix = _COLUMN_PREFIX[chosen]
    count = sum(name.startswith(prefix) for name in header)
    expected = [f"{prefix}{k}" for k in range(count)]
    if count == 1 and f"{prefix}1" in header:
        expected = [f"{prefix}1"]
    elif count == 1:
        msg = f"one class column, {prefix}0: give {prefix}1 for a binary problem."
        raise DataError(msg)
    there = set(header)
    missing = [name for name in expected if name not in there]
    if missing:
        msg = f"{count} columns {prefix}..., but no {missing[0]}: number them from 0."
        raise DataError(msg)
    return chosen, "label", expected


def refuse_repeated(names: list[str]) -> None:
    """Refuse a header in which a name occurs twice."""
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        msg = f"the header repeats {listed(repeated)}. Give each column its own name."
        raise DataError(msg)


def require(names: list[str], found: list[str], what: str) -> None:
    """Refuse where an array or a column is missing."""
    missing = [name for name in names if name not in found]
    if missing:
        name = missing[0]
        remedy = (
            "Store the class ids under that name, one per example."
            if name.startswith("label")
            else f"Choose one of them, or store {name!r} with one entry per example."
        )
        msg = f"no {what} {name!r} among {listed(found)}. {remedy}"
        raise DataError(msg)


def listed(names: list[str]) -> str:
    """Names for a message, which a file of a thousand columns must not drown."""
    most = 12
    more = f", ... ({len(names):,} in all)" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more


def rows_at_a_time(width: int) -> int:
    """How many rows of that many numbers are read together."""
    return max(1, _CHUNK // max(width, 1))


def blocks_of(rows: range, width: int) -> Iterator[slice]:
    """Slices of `rows_at_a_time`."""
    step = rows_at_a_time(width)
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop))

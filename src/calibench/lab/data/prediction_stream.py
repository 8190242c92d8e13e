"""Predictions of files, folders and globs as one data set, in bounded memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calibench.errors import RowError
from calibench.lab.data.prediction_fragments import chunks_of, fragments_of, named
from calibench.lab.data.prediction_layout import RawChunk, Wanted
from calibench.lab.data.prediction_listing import files_among
from calibench.lab.data.prediction_source import StoredFile
from calibench.predictions import Predictions
from calibench.weights import counted_or_not, weight_numbers, weight_vector


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some examples of a data set.

    Attributes:
        predictions: The examples.
        groups: What the column of groups says of each, if one was asked for.
    """

    predictions: Predictions
    groups: np.ndarray | None = None


def stream_predictions(
    given: Sequence[Path | str | StoredFile],
    *,
    kind: str | None = None,
    by: str | None = None,
    weights: str | None = None,
) -> Iterator[Chunk]:
    """Read predictions some at a time, so that memory does not grow with their number.

    Checks are those of `read_predictions`. The sum of an archive is checked at its end:
    use nothing before the stream has ended.

    Args:
        given: Files, folders (their files of known suffix) and globs, local or by URL.
        kind: "logits" or "probs", where a file holds both.
        by: A column, or an array with one number per example, that names groups.
        weights: Likewise, that says how often each example is there. In a chunk they
            may all be 0.

    Raises:
        DataError: A file is missing, damaged or cut, or its contents are no
            predictions, or not of the kind and classes of the others; the message
            names the file and the row.
        ParameterError: There is no such kind, or a file is given twice.
        ResourceError: A file may not be read.
    """
    wanted = Wanted(kind, by, weights)
    for fragment in fragments_of(files_among(given), wanted):
        for raw in chunks_of(fragment):
            with named(fragment.file):
                some = checked(raw)
            yield Chunk(some, raw.groups)


def checked(raw: RawChunk) -> Predictions:
    """The predictions of a chunk.

    Raises:
        DataError: A row is not valid; it is counted from the start of the file.
    """
    is_logits = raw.kind == "logits"
    make = Predictions.from_logits if is_logits else Predictions.from_probs
    with counted_from(raw.start):
        some = make(raw.values, raw.labels)
        if raw.weights is None:
            return some
        numbers = weight_numbers(raw.weights, some.num_examples)
    return replace(some, weights=counted_or_not(numbers))


@contextmanager
def counted_from(row: int) -> Iterator[None]:
    """Count the row that an error names from the start of the file, not of a part."""
    try:
        yield
    except RowError as error:
        raise error.moved(row) from error


def joined(chunks: Sequence[Chunk]) -> Predictions:
    """The examples of all chunks, of which there is at least one, in order.

    Raises:
        DataError: Their weights are all 0.
    """
    first = chunks[0].predictions
    some = Predictions(
        np.concatenate([chunk.predictions.labels for chunk in chunks]),
        first.kind,
        np.concatenate([chunk.predictions.values for chunk in chunks]),
    )
    if all(chunk.predictions.weights is None for chunk in chunks):
        return some
    each = [
        np.ones(len(part.labels)) if part.weights is None else part.weights
        for part in (chunk.predictions for chunk in chunks)
    ]
    return replace(some, weights=weight_vector(np.concatenate(each), some.num_examples))

"""Read predictions from a file: strict, bounded by declared sizes, never unpickling."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_fragments import (
    Fragment,
    chunks_of,
    fragments_of,
    named,
)
from calibench.lab.data.prediction_layout import RawChunk, Wanted
from calibench.lab.data.prediction_listing import files_among, local_file
from calibench.lab.data.prediction_source import is_url
from calibench.lab.data.prediction_stream import checked
from calibench.predictions import Predictions
from calibench.weights import weight_vector

# Numbers compress a little; a file that claims to unfold a hundredfold, and to more
# than this, is built to exhaust memory.
_LARGEST_EXPANSION = 100
_UNSUSPICIOUS_BYTES = 2**28


def read_predictions(
    path: Path | str, *, kind: str | None = None, weights: str | None = None
) -> Predictions:
    """Read predictions and labels from a file, whole.

    `.npz`: an array `logits` or `probs`, one row per example, and an array `labels`;
    other arrays are left alone. `.csv`: a header with `label` and `logit_0`,
    `logit_1`, ... or `prob_0`, `prob_1`, ..., in any order, other columns left alone;
    `logit_1` or `prob_1` by itself is a binary problem. `.parquet`, `.arrow` and
    `.feather` have such columns, or `labels` and lists `logits` or `probs`.

    Args:
        path: The file, or its URL.
        kind: "logits" or "probs". Needed only where a file holds both: which of the
            two the numbers are is told by names, never guessed from values.
        weights: A column, or an array, that says how often each example is there.

    Raises:
        DataError: The file is missing, damaged or cut, or its contents are no
            predictions; the message names the file and the row.
        ParameterError: There is no such kind.
        ResourceError: The file may not be read.
    """
    wanted = Wanted(kind, weights=weights)
    # A folder or a glob is no file, and a name that looks like a glob is one.
    files = files_among([path]) if is_url(path) else [local_file(Path(path))]
    if len(files) > 1:
        msg = f"{path}: {len(files)} files. Name one."
        raise DataError(msg)
    fragments = list(fragments_of(files, wanted))
    with named(fragments[0].file):
        _refuse_unfolding(fragments)
    chunks = [chunk for fragment in fragments for chunk in chunks_of(fragment)]
    with named(fragments[0].file):
        some = checked(_whole(chunks))
        # Some rows may all weigh 0, but not the whole file.
        return replace(some, weights=weight_vector(some.weights, some.num_examples))


def _refuse_unfolding(fragments: list[Fragment]) -> None:
    last, stored = fragments[-1], fragments[0].file.size
    numbers = (last.span.stop or 0) * last.num_classes
    if numbers * 8 > max(_LARGEST_EXPANSION * stored, _UNSUSPICIOUS_BYTES):
        msg = (
            f"would unfold {stored:,} bytes into {numbers * 8:,}. Store it "
            "uncompressed if that is meant."
        )
        raise DataError(msg)


def _whole(chunks: list[RawChunk]) -> RawChunk:
    return RawChunk(
        chunks[0].kind,
        np.concatenate([chunk.values for chunk in chunks]),
        np.concatenate([chunk.labels for chunk in chunks]),
        weights=_joined([chunk.weights for chunk in chunks]),
    )


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    given = [part for part in parts if part is not None]
    return np.concatenate(given) if given else None

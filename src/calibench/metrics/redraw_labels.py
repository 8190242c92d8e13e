"""Redraw labels from the rows of probabilities, and score every class again.

Examples are sorted first, as by `redraw`.
"""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from calibench.binning import Binning
from calibench.metrics.classwise import cells_by_class
from calibench.metrics.redraw import blocks_of
from calibench.predictions import Counts
from calibench.sums import exact_sums

Hits: TypeAlias = (
    Int64[np.ndarray, "some_replicates cells"]
    | Float64[np.ndarray, "some_replicates cells"]
)

Labels: TypeAlias = Int64[np.ndarray, "some_replicates draws"]
Cumulative: TypeAlias = Float64[np.ndarray, "examples classes_but_the_last"]

# From this many labels for each probability on, they are drawn by their counts.
_MANY = 8

# Up to so many classes a label is found sooner by comparing with all of them than by
# halves, so many random numbers at a time: they stay in a processor's cache.
_FEW_CLASSES = 100
_CACHED = 2**16


def redrawn_labels(
    probs: Float64[np.ndarray, "examples classes"],
    replicates: int,
    seed: int,
    cells: int = 1,
    counts: Counts | None = None,
) -> Iterator[Labels]:
    """Draw labels from the rows of probabilities, in blocks of replicates.

    A block is small enough for `cells` numbers a replicate besides the labels. A row
    with a count gives as many labels, one after the other. The last class takes what
    rounding leaves of a row.
    """
    cumulative = np.cumsum(probs, axis=1)[:, :-1]
    rng = np.random.default_rng(seed)
    if counts is None and probs.shape[1] <= _FEW_CLASSES:
        return _labels_by_comparing(cumulative, replicates, rng, cells)
    return _labels_by_halves(cumulative, replicates, rng, cells, counts)


def _labels_by_comparing(
    cumulative: Cumulative, replicates: int, rng: np.random.Generator, cells: int
) -> Iterator[Labels]:
    columns = np.ascontiguousarray(cumulative.T)
    num_draws = len(cumulative)
    for rows in blocks_of(replicates, max(num_draws, cells), _CACHED):
        uniform = rng.random((rows, num_draws))
        drawn = np.zeros(uniform.shape, dtype=np.int8)
        for column in columns:
            drawn += uniform >= column
        yield drawn.astype(np.int64)


def _labels_by_halves(
    cumulative: Cumulative,
    replicates: int,
    rng: np.random.Generator,
    cells: int,
    counts: Counts | None,
) -> Iterator[Labels]:
    num_examples, last = cumulative.shape
    width = 1 << last.bit_length()
    # Padded to a power of two, so that a search by halves needs no bounds check.
    padded = np.full((num_examples, width), np.inf)
    padded[:, :last] = cumulative
    flat, rows_start = padded.ravel(), np.arange(num_examples) * width
    if counts is not None:
        rows_start = np.repeat(rows_start, counts)
    for rows in blocks_of(replicates, max(len(rows_start), cells)):
        uniform = rng.random((rows, len(rows_start)))
        drawn = np.zeros((rows, len(rows_start)), dtype=np.int64)
        step = width // 2
        while step:
            drawn += step * (uniform >= flat[rows_start + drawn + (step - 1)])
            step //= 2
        yield drawn


def redrawn_classwise(
    probs: Float64[np.ndarray, "examples classes"],
    num_bins: int,
    scheme: str | Binning,
    replicates: int,
    seed: int,
    counts: Counts | None = None,
) -> Float64[np.ndarray, " replicates"]:
    """`classwise_ece` of replicates whose labels are drawn from the probabilities."""
    order = np.lexsort(probs.T if counts is None else np.vstack([counts, probs.T]))
    ordered, many = probs[order], None if counts is None else counts[order]
    num_examples, num_classes = ordered.shape
    size = num_classes * num_bins
    columns = np.ascontiguousarray(ordered.T)
    cells = cells_by_class(columns, num_bins, scheme, many)
    flat = cells.ravel()
    each = None if many is None else np.tile(many, num_classes)
    total = exact_sums(flat, columns.ravel(), size, each)
    draws = num_examples if many is None else int(many.sum())
    drawn = redrawn_hits(ordered, cells, size, many, replicates, seed)
    scores = [np.abs(total - hits).sum(axis=1) for hits in drawn]
    return np.concatenate(scores) / (num_classes * draws)


def redrawn_hits(
    probs: Float64[np.ndarray, "examples classes"],
    cells: Int64[np.ndarray, "classes examples"],
    size: int,
    counts: Counts | None,
    replicates: int,
    seed: int,
) -> Iterator[Hits]:
    """How many redrawn labels fall into each cell, in blocks of replicates.

    Args:
        probs: A row for each example, in an order that does not depend on theirs.
        cells: For each class the cell of each example.
        size: How many cells there are.
        counts: How often each example is there.
        replicates: How many sets of labels to draw.
        seed: Of the drawing.
    """
    if counts is not None and int(counts.sum()) > _MANY * probs.size:
        yield from _hits_of_counts(probs, cells, size, counts, replicates, seed)
        return
    yield from _hits_of_labels(probs, cells, size, counts, replicates, seed)


def _hits_of_labels(
    probs: Float64[np.ndarray, "examples classes"],
    cells: Int64[np.ndarray, "classes examples"],
    size: int,
    counts: Counts | None,
    replicates: int,
    seed: int,
) -> Iterator[Hits]:
    """How many labels fall into each cell, drawn label by label."""
    flat, example = cells.ravel(), np.arange(len(probs))
    if counts is not None:
        example = np.repeat(example, counts)
    for labels in redrawn_labels(probs, replicates, seed, size, counts):
        hit = flat[labels * len(probs) + example]
        hit += np.arange(len(labels))[:, None] * size
        hits = np.bincount(hit.ravel(), minlength=len(labels) * size)
        yield hits.reshape(-1, size)


def _hits_of_counts(
    probs: Float64[np.ndarray, "examples classes"],
    cells: Int64[np.ndarray, "classes examples"],
    size: int,
    counts: Counts,
    replicates: int,
    seed: int,
) -> Iterator[Hits]:
    """The same, drawn by how often each example has each label."""
    rng = np.random.default_rng(seed)
    shares = probs / probs.sum(axis=1, keepdims=True)
    flat = np.ascontiguousarray(cells.T).ravel()
    for rows in blocks_of(replicates, max(probs.size, size)):
        drawn = rng.multinomial(counts, shares, (rows, len(probs))).reshape(rows, -1)
        cell = flat + np.arange(rows)[:, None] * size
        # Exact in float64: there are less than 2^53 labels.
        hits = np.bincount(cell.ravel(), drawn.ravel(), rows * size)
        yield hits.reshape(-1, size)

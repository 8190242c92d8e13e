"""Small prediction sets by enumeration: edges, their neighbors, ties, zeros and ones.

A case is (probabilities, labels, num_bins): what the binned metrics are asked.
"""

import itertools
import math
import random
from collections.abc import Iterator

MANY_BINS = (1, 2, 3, 4, 5, 6, 7, 10, 12, 15, 20, 49)


def cases() -> Iterator[tuple]:
    """Every case once."""
    seen = set()
    for source in (single_examples, pairs, groups, three_classes, generated):
        for case in source():
            if case not in seen:
                seen.add(case)
                yield case


def single_examples():
    """One example on every edge b / M and on both its neighbors, right and wrong."""
    for num_bins in MANY_BINS:
        for p in around_edges(range(num_bins + 1), num_bins):
            for label in (0, 1):
                yield (two(p),), (label,), num_bins


def pairs():
    """Two examples from few values around the edges: one bin or two, tied or not."""
    for num_bins in (1, 2, 3, 5, 10, 15):
        middle = num_bins // 2 + 1
        values = [0.0, 1.0, 0.5, 0.75, *around_edges([middle], num_bins)]
        kinds = list(itertools.product(values, (0, 1)))
        for chosen in itertools.combinations_with_replacement(kinds, 2):
            yield binary(chosen, num_bins)


def groups():
    """Three to five examples: all multisets of ties and neighbors, right and wrong."""
    for num_bins in (2, 3, 10, 15):
        edge = (num_bins // 2 + 1) / num_bins
        kinds = list(itertools.product((0.5, edge, 0.8125, 1.0), (0, 1)))
        for size in (3, 4):
            for chosen in itertools.combinations_with_replacement(kinds, size):
                yield binary(chosen, num_bins)
    kinds = list(itertools.product((0.625, 0.9, 1.0), (0, 1)))
    for chosen in itertools.combinations_with_replacement(kinds, 5):
        for num_bins in (1, 4, 15):
            yield binary(chosen, num_bins)


def three_classes():
    """Every row of thirds, quarters and fifths, by itself and with every other."""
    for parts, num_bins in ((3, 15), (4, 4), (5, 10)):
        rows = [
            (i / parts, j / parts, (parts - i - j) / parts)
            for i in range(parts + 1)
            for j in range(parts + 1 - i)
        ]
        kinds = list(itertools.product(rows, range(3)))
        for row, label in kinds:
            yield (row,), (label,), num_bins
        for (one, a), (other, b) in itertools.combinations(kinds[:: parts - 2], 2):
            yield (one, other), (a, b), num_bins


def generated():
    """Up to twelve examples of up to six classes, with many ties."""
    rng = random.Random(3)  # noqa: S311 - no secret is drawn
    for _ in range(700):
        num_classes, num_bins = rng.randint(2, 6), rng.choice(MANY_BINS)
        palette = [row_of(rng, num_classes, num_bins) for _ in range(rng.randint(1, 6))]
        probs = tuple(rng.choices(palette, k=rng.randint(3, 12)))
        labels = [rng.randrange(num_classes) for _ in probs]
        if rng.random() < 0.3:
            right = rng.random() < 0.5
            labels = [row.index(max(row) if right else min(row)) for row in probs]
        yield probs, tuple(labels), num_bins


def row_of(rng, num_classes, num_bins):
    """A row whose largest entry is often an edge, its neighbor, 0, 1 or a tie."""
    style = rng.randrange(4)
    if style == 0:
        top = rng.randrange(num_bins + 1) / num_bins
        top = rng.choice([top, math.nextafter(top, 0), math.nextafter(top, 1)])
        rest = [1 - top] + [0.0] * (num_classes - 2)
        return tuple(rng.sample([top, *rest], num_classes))
    if style == 1:
        return one_hot(rng, num_classes)
    if style == 2:
        return (1 / num_classes,) * num_classes
    weights = [rng.randint(0, 9) for _ in range(num_classes)]
    weights[0] += not any(weights)
    return tuple(w / sum(weights) for w in weights)


def one_hot(rng, num_classes):
    sure = rng.randrange(num_classes)
    return tuple(float(k == sure) for k in range(num_classes))


def around_edges(numbers, num_bins):
    """Edges b / M and the floats on both sides, in [0, 1], each once."""
    edges = [b / num_bins for b in numbers]
    below = [math.nextafter(edge, 0) for edge in edges]
    above = [math.nextafter(edge, 1) for edge in edges]
    return sorted({*edges, *below, *above})


def binary(chosen, num_bins):
    return tuple(two(p) for p, _ in chosen), tuple(y for _, y in chosen), num_bins


def two(p):
    return (p, 1 - p)

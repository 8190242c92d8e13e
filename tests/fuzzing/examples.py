"""Small sets of examples, valid ones and ones that every format must refuse."""

from random import Random

import numpy as np

from fuzzing.case import Examples


def drawn(rng: Random) -> Examples:
    """One to seven examples of two to four classes, exact in every dtype."""
    rows, classes = rng.randint(1, 7), rng.randint(2, 4)
    dtype = rng.choice(["float32", "float64"])
    labels = np.array([rng.randrange(classes) for _ in range(rows)], dtype=np.int64)
    if rng.random() < 0.5:
        values = [[rng.randint(-40, 40) / 8 for _ in range(classes)] for _ in labels]
        return Examples("logits", np.array(values, dtype=dtype), labels)
    return Examples(
        "probs", np.array([_row(rng, classes) for _ in labels], dtype), labels
    )


def spoiled(rng: Random) -> tuple[Examples, str]:
    """Examples that are no predictions, and why."""
    name = rng.choice(list(SPOILS))
    some = drawn(rng)
    return SPOILS[name](some, rng), name


def _row(rng: Random, classes: int) -> list[float]:
    cuts = sorted(rng.randint(0, 16) for _ in range(classes - 1))
    return [(b - a) / 16 for a, b in zip([0, *cuts], [*cuts, 16], strict=True)]


def _with_value(some: Examples, rng: Random, value: float) -> Examples:
    values = some.values.copy()
    values[rng.randrange(values.shape[0]), rng.randrange(values.shape[1])] = value
    return Examples(some.kind, values, some.labels)


def _with_label(some: Examples, rng: Random, label: float) -> Examples:
    labels = some.labels.astype(np.result_type(np.int64, type(label)))
    labels[rng.randrange(len(labels))] = label
    return Examples(some.kind, some.values, labels)


def _as_probs(some: Examples, rng: Random) -> Examples:
    classes = some.values.shape[1]
    rows = np.array([_row(rng, classes) for _ in some.labels], some.values.dtype)
    return Examples("probs", rows, some.labels)


def _one_class(some: Examples) -> Examples:
    column = np.ones((len(some.labels), 1))
    return Examples("probs", column, np.zeros(len(some.labels), dtype=np.int64))


def _off_sum(some: Examples, rng: Random) -> Examples:
    some = _as_probs(some, rng)
    values = some.values.copy()
    values[rng.randrange(len(values))] *= rng.choice([0.5, 0.99, 0])
    return Examples("probs", values, some.labels)


SPOILS = {
    "nan": lambda some, rng: _with_value(some, rng, np.nan),
    "infinity": lambda some, rng: _with_value(some, rng, rng.choice([np.inf, -np.inf])),
    "negative": lambda some, rng: _with_value(_as_probs(some, rng), rng, -0.25),
    "above one": lambda some, rng: _with_value(_as_probs(some, rng), rng, 1.0625),
    "sum": _off_sum,
    "label too large": lambda some, rng: _with_label(some, rng, some.values.shape[1]),
    "label negative": lambda some, rng: _with_label(some, rng, -1),
    "label fractional": lambda some, rng: _with_label(some, rng, 0.5),
    "label missing": lambda some, rng: _with_label(some, rng, float("nan")),
    "no rows": lambda some, rng: Examples(some.kind, some.values[:0], some.labels[:0]),
    "one class": lambda some, rng: _one_class(some),
}

"""Two sets of predictions can be compared only on the same examples."""

import numpy as np

from calibench.errors import DataError, RowError
from calibench.predictions import Predictions


def refuse_other_examples(first: Predictions, second: Predictions) -> None:
    """Refuse to compare sets that are not of the same examples.

    Raises:
        DataError: The labels, the weights or the numbers of classes are not the same,
            or the weights are not whole numbers; the first row that differs is named.
    """
    for what in ("num_examples", "num_classes"):
        here, there = getattr(first, what), getattr(second, what)
        if here != there:
            noun = what.removeprefix("num_")
            msg = (
                f"the first set has {here} {noun}, the second {there}. Compare "
                "predictions for the same examples and classes."
            )
            raise DataError(msg)
    _refuse_unequal("label", first.labels, second.labels)
    once = np.ones(first.num_examples, dtype=np.int64)
    # Asking for counts refuses weights that are not whole numbers.
    mine, theirs = (once if c is None else c for c in (first.counts, second.counts))
    _refuse_unequal("weight", mine, theirs)


def _refuse_unequal(what: str, first: np.ndarray, second: np.ndarray) -> None:
    unequal = np.flatnonzero(first != second)
    if len(unequal):
        row = int(unequal[0])
        after = (
            f": {what} {first[row]} in the first set, {second[row]} in "
            f"the second ({len(unequal)} of {len(first)} rows differ). Give "
            "both sets the same examples in the same order."
        )
        before = f"the {what}s are not the same, first at "
        raise RowError(before, row, after)

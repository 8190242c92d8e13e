"""What is refused before it becomes a prediction, and how the refusal reads."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench.errors import DataError, ParameterError, RowError

# Numpy arrays, torch tensors (recognized by their methods: torch is never imported)
# and nested lists.
Array: TypeAlias = Any
Split: TypeAlias = Literal["train", "selection", "calibration", "test"]
Matrix: TypeAlias = Float64[np.ndarray, "examples classes"]
# Sums of so many stay exact, and a generator of random counts takes them.
_MOST_COUNTS = 2**31
_HALF_PRECISION = {"float16", "bfloat16"}
_EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}


def logit_matrix(logits: Array) -> Matrix:
    """Check logits and return them as a read-only float64 matrix.

    Raises:
        DataError: Wrong shape or dtype, no examples, one class, NaN or infinity.
    """
    values, _ = _real_numbers(logits, "logits")
    refuse_rows(
        "logits", values, ~np.isfinite(values), "is not finite", "Drop or repair it."
    )
    if values.shape[1] == 1:
        values = np.hstack([np.zeros_like(values), values])
    return read_only(values)


def prob_matrix(probs: Array, name: str = "probs") -> Matrix:
    """Check probabilities and return them as a read-only float64 matrix.

    Errors speak of them by the given name.

    Raises:
        DataError: Wrong shape or dtype, no examples, one class, NaN, infinity, an entry
            outside [0, 1], or a row that does not sum to 1.
    """
    values, dtype = _real_numbers(probs, name)
    num_classes = max(values.shape[1], 2)
    ceiling = largest_probability(dtype, num_classes)
    # NaN fails both comparisons, so one test refuses it together with the infinities.
    outside = ~((values >= 0) & (values <= ceiling))
    remedy = "Probabilities lie in [0, 1]; declare the kind as logits if these are."
    refuse_rows(name, values, outside, "is not a probability", remedy)
    if values.max() > 1:
        values = np.minimum(values, 1.0)
    if values.shape[1] == 1:
        return read_only(np.hstack([1 - values, values]))
    _check_sums(values, dtype, name)
    return read_only(values)


def largest_probability(dtype: str, num_classes: int) -> float:
    """How far above 1 rounding may have brought a probability of that dtype."""
    return 1 + 4 * _EPSILON.get(dtype, 2.0**-52) * num_classes


def sum_tolerance(dtype: str, num_classes: int) -> float:
    """How far from 1 a row of probabilities of that dtype may sum."""
    if dtype in _HALF_PRECISION:
        return 5e-3
    return {"float32": 1e-5}.get(dtype, 1e-9 * num_classes)


def count_matrix(counts: Array) -> Matrix:
    """Check how often each class was chosen, and return it as a read-only matrix.

    Raises:
        DataError: Wrong shape or dtype, no examples, one class, an entry that is no
            whole number from 0 to 2^31, or a row of fewer than two.
    """
    values, _ = _real_numbers(counts, "counts")
    if values.shape[1] == 1:
        msg = f"counts must have one column per class, got shape {values.shape}."
        raise DataError(msg)
    whole = (values >= 0) & (values <= _MOST_COUNTS) & (values == np.floor(values))
    remedy = "Counts are whole numbers; declare shares as a posterior."
    refuse_rows("counts", values, ~whole, "is no count", remedy)
    totals = values.sum(axis=1, keepdims=True)
    remedy = "At least two are needed. Drop such examples, from the predictions too."
    refuse_rows("counts", totals, totals < 2, "is the sum of a row", remedy)
    return read_only(values)


def label_vector(
    labels: Array, num_examples: int, num_classes: int
) -> Int64[np.ndarray, " examples"]:
    """Check class ids against the rows they belong to.

    Raises:
        DataError: Not one whole number in 0..num_classes - 1 per row.
    """
    given, _ = as_numpy(labels, "labels")
    if given.ndim != 1:
        msg = (
            f"labels must be one class id per example, got shape {given.shape}. "
            "Take the arg max over classes if they are one-hot."
        )
        raise DataError(msg)
    if len(given) != num_examples:
        msg = f"{num_examples:,} rows of predictions, but {len(given):,} labels."
        raise DataError(msg)
    # Comparisons come before the cast: a cast would wrap or truncate what they refuse.
    valid = (given >= 0) & (given < num_classes)
    if given.dtype.kind == "f":
        valid &= given == np.floor(given)
    remedy = (
        f"Labels are whole numbers in 0..{num_classes - 1} for {num_classes} classes."
    )
    refuse_rows("labels", given[:, None], ~valid[:, None], "is no class id", remedy)
    if given.dtype == np.int64:
        return read_only(given)
    return read_only(given.astype(np.int64))


def refuse_one_class(probs: Array, labels: Int64[np.ndarray, " examples"]) -> None:
    """Refuse the softmax of a single class, which would read as a binary problem.

    Raises:
        DataError: One column in which every entry is 1, and every label is 0.
    """
    given, _ = as_numpy(probs, "probs")
    if given.ndim == 2 and given.shape[1] == 1 and np.all(given == 1):
        if labels.any():
            return
        msg = (
            "probs has one column, all 1, and every label is 0: that is one class, and "
            "one class has nothing to predict. Give two columns for a binary problem."
        )
        raise DataError(msg)


def split_name(split: str | None) -> Split | None:
    """Check the name of a split.

    Raises:
        ParameterError: The name is none of the four.
    """
    if split is None:
        return None
    return cast("Split", member(split, get_args(Split), "split"))


def member(name: str, menu: tuple[str, ...], what: str) -> str:
    """Check that a name is on a menu, with a suggestion if it is not.

    Raises:
        ParameterError: The name is not on the menu.
    """
    if name in menu:
        return name
    msg = f"unknown {what} {name!r}. {suggestion(str(name), menu)}"
    raise ParameterError(msg)


def suggestion(word: str, menu: Iterable[str]) -> str:
    """What the writer of an unknown word may have meant, or what there is."""
    choices = list(menu)
    close = get_close_matches(word, choices, n=1)
    return (
        f"Did you mean {close[0]!r}?" if close else f"Choose from {', '.join(choices)}."
    )


def _real_numbers(given: Array, name: str) -> tuple[Matrix, str]:
    array, dtype = as_numpy(given, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        msg = f"{name} must have one row per example, got shape {array.shape}."
        raise DataError(msg)
    if array.shape[0] == 0:
        msg = f"{name} has no rows. Give at least one example."
        raise DataError(msg)
    if array.shape[1] == 0:
        msg = f"{name} has no columns. Give one per class, or one for a binary problem."
        raise DataError(msg)
    # One layout, so that sums round the same for every order and stride of the input.
    # Signaling NaNs are refused with the other NaNs, not by a warning here.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(array, dtype=np.float64), dtype


def as_numpy(given: Array, name: str) -> tuple[np.ndarray, str]:
    """Return real numbers as an array, and the name of the dtype that was given.

    Raises:
        DataError: They are no real numbers, or masked.
    """
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        dtype = str(given.dtype).removeprefix("torch.")
        # Numpy has no bfloat16; every one of its values is a float32.
        given = (given.float() if dtype == "bfloat16" else given).numpy()
        return (given, dtype) if dtype == "bfloat16" else as_numpy(given, name)
    if np.ma.is_masked(given):
        msg = f"{name} has masked entries. Drop those rows before."
        raise DataError(msg)
    try:
        array = np.asarray(given)
    except ValueError as error:
        msg = f"{name} is no array of numbers: {error}"
        raise DataError(msg) from error
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32), "bfloat16"
    if array.dtype.kind not in "biuf":
        msg = f"{name} must hold real numbers, got dtype {array.dtype}."
        raise DataError(msg)
    return array, array.dtype.name


def _check_sums(values: Matrix, dtype: str, name: str) -> None:
    sums = values.sum(axis=1)
    tolerance = sum_tolerance(dtype, values.shape[1])
    refuse_rows(
        name,
        sums[:, None],
        (np.abs(sums - 1) > tolerance)[:, None],
        f"is the sum of a row of {dtype} and not 1 within {tolerance:.2g}",
        "Normalize the rows, or declare the kind as logits if these are.",
    )


def refuse_rows(
    name: str,
    values: np.ndarray,
    bad: Bool[np.ndarray, "examples columns"],
    complaint: str,
    remedy: str,
) -> None:
    """Refuse bad rows, naming the first of them and how many there are.

    Raises:
        RowError: There is one.
    """
    if not bad.any():
        return
    rows = np.any(bad, axis=1, keepdims=False)
    row = int(np.argmax(rows))
    column = int(np.argmax(bad[row]))
    place = "" if values.shape[1] == 1 else f", column {column}"
    count = int(rows.sum())
    after = (
        f"{place} (counted from 0) {complaint}; "
        f"{count:,} of {len(rows):,} rows are refused for this. {remedy}"
    )
    before = f"{name}: {values[row, column]!s} in "
    raise RowError(before, row, after)


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view that cannot be written to."""
    view: np.ndarray = array.view()
    view.flags.writeable = False
    return view

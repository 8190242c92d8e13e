"""What must be refused, naming the first bad row, its value and how many there are."""

import numpy as np
import pytest
import torch

from calibench.errors import DataError
from calibench.predictions import Predictions

GOOD = [[0.5, 0.5]]


def bad_row(value, num_columns=2):
    """Four rows, of which the rows from the third on hold a bad value."""
    rows = np.full((4, num_columns), 1 / num_columns)
    rows[2:, 1] = value
    return rows


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_numbers_that_are_not_finite(kind, value):
    message = rf"{kind}: {value} in row 2, column 1 .*; 2 of 4 rows"
    with pytest.raises(DataError, match=message):
        getattr(Predictions, f"from_{kind}")(bad_row(value), [0, 1, 0, 1])


@pytest.mark.parametrize("value", [-0.5, -1e-300, 1.5, 1 + 1e-14])
def test_numbers_that_are_no_probabilities(value):
    with pytest.raises(DataError, match=r"row 2, column 1 .* is not a probability"):
        Predictions.from_probs(bad_row(value), [0, 1, 0, 1])


def test_logits_declared_as_probabilities():
    with pytest.raises(DataError, match="declare the kind as logits if these are"):
        Predictions.from_probs([[2.0, -1.0]], [0])


# The tolerance on the sum of a row, and a number just beyond it.
@pytest.mark.parametrize(
    ("dtype", "off"), [("float64", 3e-9), ("float32", 1.2e-5), ("float16", 8e-3)]
)
def test_rows_that_do_not_sum_to_one(dtype, off):
    probs = np.array([[0.5, 0.5], [0.5, 0.5 - off]], dtype=dtype)
    with pytest.raises(DataError, match=rf"row 1 .* sum of a row of {dtype}.*1 of 2"):
        Predictions.from_probs(probs, [0, 1])
    nearly = np.array([[0.5, 0.5], [0.5, 0.5 - off / 2]], dtype=dtype)
    Predictions.from_probs(nearly, [0, 1])


def test_a_bfloat16_row_may_be_off_as_much_as_a_half():
    Predictions.from_probs(torch.tensor([[0.5, 0.498]], dtype=torch.bfloat16), [0])
    with pytest.raises(DataError, match="a row of bfloat16"):
        Predictions.from_probs(torch.tensor([[0.5, 0.49]], dtype=torch.bfloat16), [0])


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        ([0, 2], "2"),
        ([0, -1], "-1"),
        ([0, 0.5], "0.5"),
        ([0, np.nan], "nan"),
        (np.array([0, 2**64 - 1], dtype=np.uint64), "18446744073709551615"),
        (np.array([0, 255], dtype=np.uint8), "255"),
        ([0, np.inf], "inf"),
    ],
)
def test_labels_that_are_no_class_ids(labels, value):
    with pytest.raises(DataError, match=rf"labels: {value} in row 1 .*in 0\.\.1 for 2"):
        Predictions.from_probs(GOOD * 2, labels)


def test_labels_of_another_number():
    with pytest.raises(DataError, match="2 rows of predictions, but 3 labels"):
        Predictions.from_probs(GOOD * 2, [0, 1, 0])


def test_one_hot_labels():
    with pytest.raises(DataError, match=r"shape \(1, 2\).*arg max"):
        Predictions.from_probs(GOOD, [[1, 0]])


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.empty((0, 3)), "no rows"),
        (np.empty((3, 0)), "no columns"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.float64(0.5), r"shape \(\)"),
        ([["a", "b"]], "real numbers"),
        ([[0.5 + 0j, 0.5]], "real numbers"),
        ([[0.5, None]], "real numbers"),
        ([[0.5, 0.5], [1.0]], "no array of numbers"),
        (np.ma.masked_array([[0.5, 0.5]], [[True, False]]), "masked"),
    ],
)
def test_things_that_are_no_matrix_of_numbers(kind, values, message):
    with pytest.raises(DataError, match=message):
        getattr(Predictions, f"from_{kind}")(values, [0])


def test_a_single_class():
    with pytest.raises(DataError, match="one class has nothing to predict"):
        Predictions.from_probs([[1.0], [1.0]], [0, 0])


def test_a_masked_label():
    with pytest.raises(DataError, match="masked"):
        Predictions.from_probs(GOOD, np.ma.masked_array([0], [True]))


def test_an_error_is_found_in_a_narrow_input_that_overflows():
    # 1e5 is infinite in float16: refused as such, not read as a large logit.
    with pytest.raises(DataError, match="inf in row 0"):
        Predictions.from_logits(np.array([[np.inf, 0.0]], dtype=np.float16), [0])

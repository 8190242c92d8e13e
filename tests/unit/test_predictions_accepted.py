"""What the type derives, and the inputs it must take as they are."""

import math

import numpy as np
import pytest
import torch

from calibench.errors import ParameterError
from calibench.predictions import Predictions

LOGITS = np.array([[2.0, 0.0, -2.0], [0.5, 0.5, 0.25], [-300.0, 600.0, 0.0]])
LABELS = np.array([0, 1, 2])


def test_views_of_logits():
    some = Predictions.from_logits(LOGITS, LABELS)
    assert (some.num_examples, some.num_classes, some.kind) == (3, 3, "logits")
    # The tie of the second row goes to the lowest class.
    assert some.predicted.tolist() == [0, 0, 1]
    assert some.correct.tolist() == [True, False, False]
    total = math.exp(0) + math.exp(-2) + math.exp(-4)
    assert some.confidence[0] == pytest.approx(1 / total, abs=1e-15)
    assert some.log_probs[0, 2] == pytest.approx(-4 - math.log(total), abs=1e-15)
    assert some.label_log_probs[2] == some.log_probs[2, 2] == -600
    assert some.probs.sum(axis=1) == pytest.approx(1, abs=1e-15)


def test_views_of_probabilities():
    some = Predictions.from_probs([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0]], [2, 0])
    assert some.kind == "probs"
    assert some.logits[0].tolist() == [math.log(0.75), math.log(0.25), -math.inf]
    assert some.log_probs[0, 2] == some.label_log_probs[0] == -math.inf
    assert some.confidence.tolist() == [0.75, 0.5]
    assert some.predicted.tolist() == [0, 0]


def test_log_odds_tell_saturated_confidences_apart():
    some = Predictions.from_logits([[40.0, 0.0], [50.0, 0.0], [3000.0, 0.0]], [0, 0, 0])
    assert some.confidence.tolist() == [1, 1, 1]
    assert some.log_odds.tolist() == [40, 50, 3000]


def test_log_odds_are_those_of_the_confidence():
    some = Predictions.from_logits(LOGITS, LABELS)
    p = some.confidence[:2]
    assert some.log_odds[:2] == pytest.approx(np.log(p / (1 - p)), abs=1e-12)
    assert some.log_odds[2] == 600
    certain = Predictions.from_probs([[0.0, 1.0]], [1])
    assert certain.log_odds.tolist() == [math.inf]


def test_views_cannot_be_written():
    some = Predictions.from_logits(LOGITS.copy(), LABELS)
    for name in ("logits", "probs", "log_probs", "confidence", "predicted", "labels"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(some, name)[0] = 0


@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_inputs_stay_as_they_were(kind):
    values = np.full((3, 2), 0.5)
    labels = np.array([0, 1, 0])
    some = getattr(Predictions, f"from_{kind}")(values, labels)
    assert some.log_odds.tolist() == [0, 0, 0]
    values[0, 0] = labels[0] = 1  # still writable, and holding what it held
    assert values.tolist() == [[1, 0.5], [0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_torch_tensors_of_every_dtype(dtype):
    logits = torch.tensor(LOGITS, dtype=getattr(torch, dtype), requires_grad=True)
    some = Predictions.from_logits(logits, torch.tensor(LABELS, dtype=torch.uint8))
    assert some.logits.dtype == np.float64
    assert some.logits.tolist() == logits.double().tolist()
    assert some.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_softmax_of_every_dtype_is_a_row_of_probabilities(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(200, 50, generator=generator)
    probs = logits.to(getattr(torch, dtype)).softmax(dim=1)
    some = Predictions.from_probs(probs, torch.zeros(200, dtype=torch.int64))
    assert some.probs.tolist() == probs.double().tolist()


def test_a_rounding_above_one_is_read_as_one():
    # 1 + 1e-7 is within 4 eps K of float32, and so is the sum of the row.
    probs = np.array([[1 + 2.0**-23, 0.0]], dtype=np.float32)
    assert Predictions.from_probs(probs, [0]).confidence.tolist() == [1.0]


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0], [False, True]])
def test_labels_of_any_whole_numbers(labels):
    some = Predictions.from_probs([[0.5, 0.5], [0.5, 0.5]], labels)
    assert some.labels.dtype == np.int64
    assert some.labels.tolist() == [0, 1]


def test_one_column_is_the_probability_of_class_one():
    some = Predictions.from_probs([0.25, 1.0], [0, 1])
    assert some.probs.tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert Predictions.from_logits([[2.0]], [1]).logits.tolist() == [[0.0, 2.0]]


def test_certain_of_class_one_is_a_binary_problem_in_one_column():
    # All ones would be the softmax of one class, but label 1 says otherwise.
    assert Predictions.from_probs([[1.0], [1.0]], [0, 1]).correct.tolist() == [
        False,
        True,
    ]


@pytest.mark.parametrize("split", [None, "train", "selection", "calibration", "test"])
def test_the_split_travels_along(split):
    assert Predictions.from_probs([[0.5, 0.5]], [0], split=split).split == split


def test_an_unknown_split_is_refused():
    with pytest.raises(
        ParameterError, match=r"unknown split 'tset'. Did you mean 'test"
    ):
        Predictions.from_probs([[0.5, 0.5]], [0], split="tset")
    with pytest.raises(ParameterError, match="Choose from train, selection"):
        Predictions.from_probs([[0.5, 0.5]], [0], split="val")

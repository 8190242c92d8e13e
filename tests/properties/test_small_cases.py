"""More than 10,000 small cases against exact fractions, every edge among them.

A case is a set of predictions, a number of bins and a scheme. The difference from the
definition is taken in fractions, so the tolerance is that of the code alone.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

from calibench import metrics
from calibench.predictions import Predictions
from reference import exact_metrics as exact
from reference.small_cases import cases
from shape_checks import without_shape_checks

SCHEMES = ["equal_width", "equal_mass"]
# Two roundings of numbers near 1; a bin sum is exact before its only one.
TOLERANCE = Fraction(1, 2**51)
BINNED = [
    "top_label_ece",
    "max_calibration_error",
    "overconfidence",
    "underconfidence",
    "debiased_l2",
    "classwise_ece",
    "rms_calibration_error",
]
AVERAGES = ["accuracy", "error_rate", "brier", "confidence_gap", "mean_confidence"]


def expected(name, probs, labels, *binning):
    if name == "rms_calibration_error":
        square = exact.squared_rms_calibration_error(probs, labels, *binning)
        return Fraction(math.sqrt(square))
    return getattr(exact, name)(probs, labels, *binning)


def rounds_nowhere(probs):
    """Few dyadic numbers: each step from them to a metric is exact in float64."""
    dyadic = all((16 * p).is_integer() for row in probs for p in row)
    return dyadic and len(probs) <= 2 and len(probs[0]) in {2, 4}


def is_close(value, wanted, *, in_bits):
    return value == wanted if in_bits else abs(value - wanted) <= TOLERANCE


def differences(scheme):
    for probs, labels, num_bins in cases():
        some = Predictions.from_probs(np.array(probs), np.array(labels))
        exactly = rounds_nowhere(probs)
        for name in BINNED:
            wanted = expected(name, probs, labels, num_bins, scheme)
            value = getattr(metrics, name)(some, num_bins=num_bins, scheme=scheme)
            in_bits = exactly and name != "rms_calibration_error"
            if not is_close(Fraction(value), wanted, in_bits=in_bits):
                yield name, value, float(wanted), probs, labels, num_bins


def test_there_are_ten_thousand_cases():
    assert len(SCHEMES) * sum(1 for _ in cases()) >= 10_000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_binned_metrics_are_their_definitions(scheme):
    with without_shape_checks():
        assert list(differences(scheme)) == []


def test_averages_are_their_definitions():
    different = []
    with without_shape_checks():
        for probs, labels in dict.fromkeys(case[:2] for case in cases()):
            some = Predictions.from_probs(np.array(probs), np.array(labels))
            for name in AVERAGES:
                wanted = expected(name, probs, labels)
                value = getattr(metrics, name)(some)
                in_bits = rounds_nowhere(probs)
                if not is_close(Fraction(value), wanted, in_bits=in_bits):
                    different.append((name, value, float(wanted), probs, labels))
    assert different == []

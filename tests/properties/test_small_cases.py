"""More than 10,000 small cases against exact fractions, every edge among them.

A case is a set of predictions, a number of bins and a scheme. The difference from the
definition is taken in fractions, so the tolerance is that of the code alone: two
roundings of numbers near 1, and none where every step from the input on is exact.
"""

import functools
import inspect
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from calibench import metrics
from calibench.predictions import Predictions
from reference import exact_metrics as exact
from reference.small_cases import cases
from shape_checks import without_shape_checks

SCHEMES = ["equal_width", "equal_mass"]
TOLERANCE = Fraction(1, 2**51)


@dataclass(frozen=True)
class Check:
    """A metric and its definition: probs, labels, num_bins and scheme to a fraction.

    Attributes:
        metric: The name in `calibench.metrics`.
        definition: The number as a fraction.
        options: What the metric is called with besides.
        is_root: Whether the definition is of its square, as a root is no fraction.
        every: One in so many cases; those that follow from others see fewer.
        tolerance: Of the difference.
    """

    metric: str
    definition: object
    options: tuple = ()
    is_root: bool = False
    every: int = 1
    tolerance: Fraction = TOLERANCE

    def wanted(self, *arguments):
        value = self.definition(*arguments)
        return Fraction(math.sqrt(value)) if self.is_root else value


def plain(name, **options):
    return Check(name, getattr(exact, name), **options)


def of_rank(name, k):
    def definition(probs, labels, num_bins, scheme):
        return getattr(exact, name)(probs, labels, k, num_bins, scheme)

    return Check(name, definition, (("k", k),), every=5)


def summed(probs, labels, num_bins, scheme):
    return len(probs[0]) * exact.classwise_ece(probs, labels, num_bins, scheme)


def above_a_quarter(probs, labels, num_bins, scheme):
    quarter = Fraction(1, 4)
    return exact.thresholded_classwise_ece(probs, labels, quarter, num_bins, scheme)


BINNED = [
    plain("top_label_ece"),
    plain("max_calibration_error"),
    plain("overconfidence"),
    plain("underconfidence"),
    plain("debiased_l2"),
    plain("classwise_ece"),
    Check("rms_calibration_error", exact.squared_rms_calibration_error, is_root=True),
    # The mean times as many as six classes.
    Check(
        "classwise_ece",
        summed,
        (("reduction", "sum"),),
        every=5,
        tolerance=6 * TOLERANCE,
    ),
    Check(
        "classwise_rms_error", exact.squared_classwise_rms_error, is_root=True, every=5
    ),
    Check(
        "thresholded_classwise_ece", above_a_quarter, (("threshold", 0.25),), every=5
    ),
    of_rank("top_k_ece", 1),
    of_rank("kth_class_ece", 2),
]
# Its definition has an exponential, so it is known to a float's digits only; a root of
# a variance that rounds to 1e-17 is 3e-9.
ROUNDED = {"debiased_l1": 1e-8}


def predictions_of(case):
    return Predictions.from_probs(np.array(case[0]), np.array(case[1]))


def rounds_nowhere(probs):
    """Few dyadic numbers: each step from them to a metric is exact in float64."""
    dyadic = all((16 * p).is_integer() for row in probs for p in row)
    return dyadic and len(probs) <= 2 and len(probs[0]) in {2, 4}


def is_close(value, wanted, *, in_bits, tolerance=TOLERANCE):
    return value == wanted if in_bits else abs(value - wanted) <= tolerance


def differences(scheme):
    calls = [
        (check, functools.partial(getattr(metrics, check.metric), scheme=scheme))
        for check in BINNED
    ]
    for number, (probs, labels, num_bins) in enumerate(cases()):
        some = predictions_of((probs, labels))
        in_bits = rounds_nowhere(probs)
        for check, call in calls:
            if number % check.every:
                continue
            wanted = check.wanted(probs, labels, num_bins, scheme)
            value = Fraction(call(some, num_bins=num_bins, **dict(check.options)))
            exactly = in_bits and not check.is_root
            if not is_close(value, wanted, in_bits=exactly, tolerance=check.tolerance):
                yield check, float(value), float(wanted), probs, labels, num_bins


def test_there_are_ten_thousand_cases():
    assert len(SCHEMES) * sum(1 for _ in cases()) >= 10_000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_binned_metrics_are_their_definitions(scheme):
    with without_shape_checks():
        assert next(differences(scheme), None) is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_debiased_l1_is_its_definition(scheme):
    with without_shape_checks():
        for probs, labels, num_bins in itertools.islice(cases(), 0, None, 5):
            wanted = exact.debiased_l1(probs, labels, num_bins, scheme)
            some = predictions_of((probs, labels))
            value = metrics.debiased_l1(some, num_bins=num_bins, scheme=scheme)
            assert abs(value - wanted) <= ROUNDED["debiased_l1"]


AVERAGES = {
    name: getattr(exact, name)
    for name in ("accuracy", "error_rate", "brier", "confidence_gap", "mean_confidence")
}
RANKED = {name: getattr(exact, name) for name in ("aurc", "excess_aurc")} | {
    "saturated_share": exact.saturated_share,
    "sweep_num_bins": lambda probs, labels: exact.sweep(probs, labels)[0],
    "ece_sweep": lambda probs, labels: exact.sweep(probs, labels)[1],
}


@pytest.mark.parametrize(("definitions", "every"), [(AVERAGES, 1), (RANKED, 5)])
def test_numbers_without_bins_are_their_definitions(definitions, every):
    different = []
    sets = dict.fromkeys(case[:2] for case in cases())
    with without_shape_checks():
        for probs, labels in itertools.islice(sets, 0, None, every):
            some = predictions_of((probs, labels))
            in_bits = rounds_nowhere(probs) and definitions is AVERAGES
            for name, definition in definitions.items():
                wanted, value = definition(probs, labels), getattr(metrics, name)(some)
                if not is_close(Fraction(value), wanted, in_bits=in_bits):
                    different.append((name, value, float(wanted), probs, labels))
    assert different == []


def test_every_binned_metric_has_a_definition_in_fractions():
    binned = {
        name
        for name in metrics.__all__
        if inspect.isfunction(getattr(metrics, name))
        and {"some", "scheme"} <= set(signature_of(name).parameters)
        and "truth" not in signature_of(name).parameters
        and signature_of(name).return_annotation is float
    }
    assert binned - {check.metric for check in BINNED} == set(ROUNDED)


def signature_of(name):
    return inspect.signature(getattr(metrics, name))

"""Our own numbers beside those of other libraries: the same question, our answer."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from calibench.binning import Binning, equal_mass, equal_width, summarize
from calibench.metrics.calibration_error import (
    Functional,
    debiased_l2,
    largest_size,
    max_calibration_error,
    mean_size,
    pair_products,
    rms_calibration_error,
    root_mean_square,
    top_label_ece,
)
from calibench.metrics.classwise import classwise_ece
from calibench.metrics.definitions import RANKS, Definition, definitions
from calibench.metrics.scores import brier, nll
from calibench.metrics.smooth import smooth_ece
from calibench.predictions import Predictions, unweighted


def _of_class_1(
    functional: Functional, binning: Binning = equal_width
) -> Callable[[Predictions, int], float]:
    def number(some: Predictions, num_bins: int) -> float:
        unweighted(some, "the error of class 1")
        values = np.ascontiguousarray(some.probs[:, 1])
        stats = summarize(binning(values, num_bins), values, some.labels == 1)
        return float(functional(stats))

    return number


def _signed_root(square: float) -> float:
    return math.copysign(math.sqrt(abs(square)), square)


def _top_debiased(some: Predictions, num_bins: int) -> float:
    square = debiased_l2(some, num_bins=num_bins, scheme="equal_mass")
    return _signed_root(square)


def _classwise_debiased(some: Predictions, num_bins: int) -> float:
    unweighted(some, "the class-wise debiased error")
    squares = []
    for k in range(some.num_classes):
        values = np.ascontiguousarray(some.probs[:, k])
        stats = summarize(equal_mass(values, num_bins), values, some.labels == k)
        squares.append(float(pair_products(stats)))
    return _signed_root(math.fsum(squares) / some.num_classes)


# Roots keep the sign of a negative square: `debiased_l2` is on average 0 if calibrated.
OURS: Mapping[str, Callable[[Predictions, int], float]] = {
    "top_label_ece": lambda some, m: top_label_ece(some, num_bins=m),
    "top_label_ece_equal_mass": lambda some, m: top_label_ece(
        some, num_bins=m, scheme="equal_mass"
    ),
    "classwise_ece": lambda some, m: classwise_ece(some, num_bins=m),
    "max_calibration_error": lambda some, m: max_calibration_error(some, num_bins=m),
    "rms_calibration_error": lambda some, m: rms_calibration_error(some, num_bins=m),
    "debiased_rms_equal_mass": _top_debiased,
    "classwise_debiased_rms_equal_mass": _classwise_debiased,
    "smooth_ece": lambda some, _: smooth_ece(some),
    "nll": lambda some, _: nll(some),
    "brier": lambda some, _: brier(some),
    "class_1_top_label_ece": _of_class_1(mean_size),
    "class_1_top_label_ece_equal_mass": _of_class_1(mean_size, equal_mass),
    "class_1_rms_calibration_error": _of_class_1(root_mean_square),
    "class_1_max_calibration_error": _of_class_1(largest_size),
}


def our_definition(name: str, num_bins: int) -> Definition:
    """The definition of a number of `OURS`, without an interval: there is none here."""
    known = definitions(num_bins)
    of_class_1 = name.removeprefix("class_1_")
    if of_class_1 != name:
        base = our_definition(of_class_1, num_bins)
        return replace(base, probability="class 1")
    if name.endswith("debiased_rms_equal_mass"):
        base = _debiased_root(known["debiased_l2"], classwise=name.startswith("class"))
    else:
        base = known[name]
    return replace(base, interval="")


def _debiased_root(base: Definition, *, classwise: bool) -> Definition:
    return replace(
        base,
        quantity=f"root of {base.quantity}, with its sign",
        probability="every class" if classwise else "predicted class",
        scheme="equal_mass",
        edges=RANKS,
        reduction="root of the mean square over all classes" if classwise else None,
        norm="l2",
    )

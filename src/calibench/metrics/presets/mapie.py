"""MAPIE's expected_calibration_error and top_label_ece."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from calibench.metrics.definitions import Definition
from calibench.metrics.presets.preset import Handed, NoNumberError, Preset

Values: TypeAlias = Float[np.ndarray, " examples"]
Hits: TypeAlias = Bool[np.ndarray, " examples"]
Strategy: TypeAlias = Literal["uniform", "quantile", "array split"]


def _uniform(_: Values, m: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, m)


def _quantile(values: Values, m: int) -> np.ndarray:
    return np.asarray(np.percentile(values, np.linspace(0, 1, m) * 100))


def _array_split(values: Values, m: int) -> np.ndarray:
    # The rows are split as they come, not in order of confidence.
    parts = np.array_split(values, m)[:-1]
    if any(len(part) == 0 for part in parts):
        msg = "fewer examples than bins, and it stops at the maximum of nothing."
        raise NoNumberError(msg)
    return np.sort(np.asarray([part.max() for part in parts] + [np.inf]))


_EDGES: dict[Strategy, Callable[[Values, int], np.ndarray]] = {
    "uniform": _uniform,
    "quantile": _quantile,
    "array split": _array_split,
}


def _error(values: Values, hits: Hits, m: int, strategy: Strategy) -> float:
    """A bin ends at each of m edges, so that the first edge makes a bin as well."""
    index = np.digitize(values, _EDGES[strategy](values, m), right=True)
    size = np.zeros(m)
    total = np.zeros(m)
    for b in range(m):
        inside = index == b
        size[b] = inside.sum()
        if size[b]:
            mean = values[inside].sum() / size[b]
            total[b] = size[b] * np.abs(hits[inside].sum() / size[b] - mean)
    if size.sum() == 0:
        msg = "its only edge is 0, so that no example lies in a bin, and 0 / 0 is NaN."
        raise NoNumberError(msg)
    return float(total.sum() / size.sum())


def _top(given: Handed, m: int, *, strategy: Strategy) -> float:
    return _error(given.confidence, given.correct, m, strategy)


def _classwise(given: Handed, m: int) -> float:
    errors = [
        _error(np.ascontiguousarray(column), given.labels == k, m, "uniform")
        for k, column in enumerate(given.probs.T)
    ]
    return float(np.mean(errors))


def _by_prediction(given: Handed, m: int) -> float:
    errors = []
    for k in np.unique(given.predicted):
        rows = given.predicted == k
        errors.append(_error(given.confidence[rows], given.correct[rows], m, "uniform"))
    return float(np.mean(errors))


_RULES: dict[Strategy, str] = {
    "uniform": "numpy.linspace(0, 1, M)'s: M - 1 bins",
    "quantile": "numpy.percentile's at M shares from 0 to 1: M - 1 bins",
    "array split": "maxima of M runs of rows in the order of the file",
}


def _definition(
    m: int, _: int, *, strategy: Strategy = "uniform", reduction: str | None = None
) -> Definition:
    is_classwise = reduction == "mean over all classes"
    extra: dict[Strategy, str | None] = {
        "uniform": "confidence exactly 0",
        "quantile": "the least confidence",
        "array split": None,
    }
    return Definition(
        quantity="mean over classes of sum_b w_b |mean p - share with the label|"
        if is_classwise
        else "sum_b w_b |mean confidence - accuracy|",
        probability="every class" if is_classwise else "predicted class",
        num_bins=m if strategy == "array split" else m - 1,
        scheme="equal_width" if strategy == "uniform" else "equal_mass",
        closed="right",
        edges=_RULES[strategy],
        extra_bin=extra[strategy],
        reduction=reduction,
        norm="l1",
    )


_ONE_LESS = "one bin fewer than asked for: M counts the edges"


def _preset(strategy: Strategy, differs: str, fault: str) -> Preset:
    suffix = "" if strategy == "uniform" else f"_{strategy.replace(' ', '_')}"
    return Preset(
        name=f"mapie_ece{suffix}",
        library="MAPIE",
        versions="1.0 and later",
        checked="1.6.0",
        call="expected_calibration_error(correct, confidence, M"
        + (")" if strategy == "uniform" else f", {strategy!r})"),
        ours="top_label_ece" + ("" if strategy == "uniform" else "_equal_mass"),
        differs=differs,
        fault=fault,
        define=partial(_definition, strategy=strategy),
        compute=partial(_top, strategy=strategy),
    )


MAPIE = [
    _preset("uniform", "M - 1 bins, and one for confidence exactly 0.", _ONE_LESS),
    _preset(
        "quantile",
        "M - 1 bins between interpolated quantiles; the least confidence by itself.",
        _ONE_LESS,
    ),
    _preset(
        "array split",
        "Edges are the largest confidences of runs of rows as they lie in the file.",
        "bins, and so the number, depend on the order of the rows",
    ),
    Preset(
        name="mapie_ece_classwise",
        library="MAPIE",
        versions="1.6",
        checked="1.6.0",
        call="expected_calibration_error(_, p, M, classwise=True, class_labels=y)",
        ours="classwise_ece",
        differs="M - 1 bins, and one for probability exactly 0.",
        fault=_ONE_LESS,
        define=partial(_definition, reduction="mean over all classes"),
        compute=_classwise,
    ),
    Preset(
        name="mapie_top_label_ece",
        library="MAPIE",
        versions="1.0 and later",
        checked="1.6.0",
        call="top_label_ece(y, p, num_bins=M)",
        ours="top_label_ece",
        differs="An ECE for each predicted class, averaged over classes alike.",
        fault=_ONE_LESS,
        define=partial(_definition, reduction="mean over the classes ever predicted"),
        compute=_by_prediction,
    ),
]

"""The estimators of Kumar et al., package uncertainty-calibration."""

from functools import partial
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from calibench.metrics.definitions import Definition, Norm
from calibench.metrics.presets.preset import Handed, Preset

Values: TypeAlias = Float[np.ndarray, " examples"]
Hits: TypeAlias = Bool[np.ndarray, " examples"]
Rule: TypeAlias = Literal["equal width", "equal mass", "one for each value"]

_DEFAULT_BINS = 15
_preset = partial(
    Preset, library="uncertainty-calibration", versions="0.1", checked="0.1.4"
)


def _equal_width(_: Values, m: int) -> np.ndarray:
    return np.arange(1, m + 1) / m


def _equal_mass(values: Values, m: int) -> np.ndarray:
    """Upper edges halfway between the neighbors of two parts; equal ones are one."""
    ascending = np.sort(values)
    m = min(m, len(ascending))
    parts = np.array_split(ascending, m)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    middle = (ascending[ends - 1] + ascending[ends]) / 2
    return np.unique(np.append(middle.astype(np.float64), 1.0))


def _one_for_each(values: Values, _: int) -> np.ndarray:
    unique = np.unique(values)
    return np.append(((unique[:-1] + unique[1:]) / 2).astype(np.float64), 1.0)


_RULES = {
    "equal width": _equal_width,
    "equal mass": _equal_mass,
    "one for each value": _one_for_each,
}


def _error(values: Values, hits: Hits, edges: np.ndarray, *, squares: bool) -> float:
    index = np.searchsorted(edges, values)
    size = np.bincount(index, minlength=len(edges))
    held = size > squares  # the debiased square needs two examples
    n, many = len(values), size[held]
    accuracy = np.bincount(index, hits, len(edges))[held] / many
    gap = np.bincount(index, values, len(edges))[held] / many - accuracy
    if not squares:
        return float(np.dot(many / n, np.abs(gap)))
    variance = accuracy * (1 - accuracy) / (many - 1)
    # Not below 0: a negative estimate becomes "calibrated".
    return float(np.sqrt(max(np.dot(many / n, gap**2 - variance), 0.0)))


def _has_few_values(given: Handed) -> bool:
    return all(len(np.unique(column)) < len(column) / 4 for column in given.probs.T)


def _top(given: Handed, m: int, *, rule: Rule, squares: bool) -> float:
    edges = _RULES[rule](given.confidence, m)
    return _error(given.confidence, given.correct, edges, squares=squares)


def _top_by_heuristic(given: Handed, _: int) -> float:
    rule: Rule = "one for each value" if _has_few_values(given) else "equal mass"
    return _top(given, _DEFAULT_BINS, rule=rule, squares=True)


def _marginal(given: Handed, _: int) -> float:
    rule = "one for each value" if _has_few_values(given) else "equal mass"
    errors = [
        _error(
            np.ascontiguousarray(column),
            given.labels == k,
            _RULES[rule](np.ascontiguousarray(column), _DEFAULT_BINS),
            squares=True,
        )
        for k, column in enumerate(given.probs.T)
    ]
    return float(np.sqrt(np.mean(np.square(errors))))


_ECE = "sum_b w_b |mean confidence - accuracy|"
_DEBIASED = "sqrt max(sum_b w_b [gap^2 - a (1 - a) / (n_b - 1)], 0)"
_HALFWAY = "halfway between the neighbors of two parts of equal size, equal ones merged"


def _definition(
    m: int,
    _: int,
    *,
    rule: Rule,
    squares: bool,
    heuristic: bool = False,
    classwise: bool = False,
) -> Definition:
    norm: Norm = "l2" if squares else "l1"
    edges = "b / M in float64" if rule == "equal width" else _HALFWAY
    each = "; one bin for each value if those are fewer than n / 4"
    return Definition(
        quantity=_DEBIASED if squares else _ECE,
        probability="every class" if classwise else "predicted class",
        num_bins=_DEFAULT_BINS if heuristic else m,
        scheme="equal_width" if rule == "equal width" else "equal_mass",
        closed="right",
        edges=edges + each * heuristic,
        dropped="bins of one example" if squares else None,
        reduction="root of the mean square over all classes" if classwise else None,
        norm=norm,
        debiased=squares,
    )


def _plain(name: str, call: str, rule: Rule, differs: str, *, squares: bool) -> Preset:
    mass = "_equal_mass" * (rule == "equal mass")
    return _preset(
        name=f"verified_calibration_{name}",
        call=call,
        ours=f"{'debiased_rms' if squares else 'top_label_ece'}{mass}",
        differs=differs,
        define=partial(_definition, rule=rule, squares=squares),
        compute=partial(_top, rule=rule, squares=squares),
    )


_PARTS = "Edges halfway between parts of equal size, so that ties are kept together"
_FLOOR = "cut off at 0, bins of one example left out"
VERIFIED_CALIBRATION = [
    _plain(
        "ece",
        "get_ece(p, y, num_bins=M)",
        "equal width",
        "The same definition; float64 sums in the order of the rows.",
        squares=False,
    ),
    _plain(
        "ece_em",
        "get_ece_em(p, y, num_bins=M)",
        "equal mass",
        f"{_PARTS} by another rule.",
        squares=False,
    ),
    _plain(
        "lower_bound_l2",
        "lower_bound_scaling_top_ce(p, y, num_bins=M)",
        "equal mass",
        f"{_PARTS}; {_FLOOR}.",
        squares=True,
    ),
    _preset(
        name="verified_calibration_top_l2",
        call="get_top_calibration_error(p, y)",
        ours="debiased_rms_equal_mass",
        differs=f"Always {_DEFAULT_BINS} bins, or one for each value if values repeat; "
        f"{_FLOOR}.",
        define=partial(_definition, rule="equal mass", squares=True, heuristic=True),
        compute=_top_by_heuristic,
    ),
    _preset(
        name="verified_calibration_marginal_l2",
        call="get_calibration_error(p, y)",
        ours="classwise_debiased_rms_equal_mass",
        differs=f"Always {_DEFAULT_BINS} bins, or one for each value if values repeat; "
        "each class cut off at 0 before the mean.",
        fault="a class whose estimate is below 0 counts as 0, which brings bias back",
        define=partial(
            _definition,
            rule="equal mass",
            squares=True,
            heuristic=True,
            classwise=True,
        ),
        compute=_marginal,
    ),
]

"""Every number that the library computes of predictions, found by its signature.

A metric that is added and exported is among them, and so under every law, on the day
that it is added.
"""

import functools
import inspect
from collections.abc import Callable, Iterator

from calibench import metrics
from calibench.predictions import Predictions

NUM_BINS = 10
SCHEMES = ("equal_width", "equal_mass")
# Bound to one value where a signature asks for them.
_BOUND = {"num_bins": [NUM_BINS], "scheme": SCHEMES, "k": [1, 2]}
# They have no value for some predictions, and laws of their own.
OTHERS = {"optimal_temperature"} | {
    f"{score}_{part}"
    for score in ("nll", "brier")
    for part in ("refinement", "calibration")
}


def _found() -> Iterator[tuple[str, Callable[[Predictions], float]]]:
    for name in metrics.__all__:
        function = getattr(metrics, name)
        if not inspect.isfunction(function) or name in OTHERS:
            continue
        signature = inspect.signature(function)
        first, *others = signature.parameters.values()
        if first.annotation is not Predictions:
            continue
        if signature.return_annotation not in {float, int}:
            continue
        needed = {p.name for p in others if p.default is p.empty}
        if needed - set(_BOUND):
            # A posterior, or counts of labels: of more than predictions.
            continue
        taken = [p.name for p in others if p.name in _BOUND]
        yield from _variants(name, function, taken)


def _variants(name, function, taken):
    if not taken:
        yield name, function
        return
    bound = [{}]
    for parameter in taken:
        bound = [b | {parameter: value} for b in bound for value in _BOUND[parameter]]
    for options in bound:
        shown = ", ".join(str(v) for p, v in options.items() if p != "num_bins")
        yield f"{name}({shown})", functools.partial(function, **options)


MEASURES = dict(_found())


def measured(some: Predictions) -> dict[str, float]:
    """Every measure of some predictions."""
    return {name: measure(some) for name, measure in MEASURES.items()}


def base(name: str) -> str:
    """The function that a measure is a variant of."""
    return name.partition("(")[0]

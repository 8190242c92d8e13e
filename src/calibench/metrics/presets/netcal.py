"""netcal's ECE, ACE and MCE."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from calibench.metrics.definitions import Definition, Norm
from calibench.metrics.presets.preset import Handed, NoNumberError, Preset

PerBin: TypeAlias = Float[np.ndarray, " bins"]
Edges: TypeAlias = Callable[[Float[np.ndarray, " examples"], int], np.ndarray]


def _weighted(gap: PerBin, count: PerBin) -> float:
    return float(np.sum(gap * (count / count.sum())))


def _average(gap: PerBin, count: PerBin) -> float:
    return float(gap.sum() / np.count_nonzero(count))


def _largest(gap: PerBin, _: PerBin) -> float:
    return float(gap.max())


def _even(_: Float[np.ndarray, " examples"], m: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, m + 1)


def _quantiles(values: Float[np.ndarray, " examples"], m: int) -> np.ndarray:
    edges = np.quantile(values, np.linspace(0.0, 1.0, m + 1))
    edges[0], edges[-1] = 0, 1
    if (np.diff(edges.astype(values.dtype)) == 0).any():
        msg = "repeated confidences make two edges equal, and SciPy stops."
        raise NoNumberError(msg)
    return edges


def _error(
    given: Handed,
    m: int,
    *,
    reduce: Callable[[PerBin, PerBin], float],
    edges_of: Edges,
) -> float:
    values, hits = _values_and_hits(given)
    edges = edges_of(values, m)
    # Counts come from NumPy, which compares with these edges; means from SciPy, which
    # rounds them to the dtype of the values first.
    count = np.bincount(_bin(values, edges), minlength=m).astype(np.float64)
    index = _bin(values, edges.astype(values.dtype))
    inside = np.bincount(index, minlength=m)
    held = (count > 0) & (inside > 0)
    gap = np.zeros(m)
    accuracy = np.bincount(index, hits, m)[held] / inside[held]
    gap[held] = np.abs(accuracy - np.bincount(index, values, m)[held] / inside[held])
    return reduce(gap, count)


def _bin(values: Float[np.ndarray, " examples"], edges: np.ndarray) -> np.ndarray:
    return np.searchsorted(edges, values, side="right") - 1


def _values_and_hits(given: Handed) -> tuple[np.ndarray, np.ndarray]:
    epsilon = np.finfo(given.probs.dtype).eps
    # Clipping keeps 1 out of a bin beyond the last.
    probs = np.clip(given.probs, epsilon, 1 - epsilon)
    if len(np.unique(given.labels)) > 2:
        return probs.max(axis=1), np.argmax(probs, axis=1) == given.labels
    if given.num_classes > 2:
        msg = "at most two classes bear a label, so it expects two columns, and stops."
        raise NoNumberError(msg)
    return np.ascontiguousarray(probs[:, 1]), given.labels == 1


def _definition(
    m: int, num_classes: int, *, quantity: str, norm: Norm, is_even: bool
) -> Definition:
    return Definition(
        quantity=quantity,
        probability="class 1" if num_classes == 2 else "predicted class",
        num_bins=m,
        scheme="equal_width" if is_even else "equal_mass",
        closed="left",
        edges="numpy.linspace's" if is_even else "numpy.quantile's, from 0 to 1",
        norm=norm,
    )


def _preset(
    name: str,
    quantity: str,
    reduce: Callable[[PerBin, PerBin], float],
    differs: str,
    *,
    is_even: bool = True,
) -> Preset:
    norm: Norm = "max" if reduce is _largest else "l1"
    cls = "MCE" if norm == "max" else "ACE" if reduce is _average else "ECE"
    ours = "max_calibration_error" if norm == "max" else "top_label_ece"
    return Preset(
        name=name,
        library="netcal",
        versions="1.3.5 and later",
        checked="1.4.0",
        call=f"{cls}(M{'' if is_even else ', equal_intervals=False'}).measure(p, y)",
        ours=ours if is_even else "top_label_ece_equal_mass",
        differs=differs,
        fault=None if is_even else "it stops wherever ties make two edges equal",
        define=partial(_definition, quantity=quantity, norm=norm, is_even=is_even),
        compute=partial(
            _error, reduce=reduce, edges_of=_even if is_even else _quantiles
        ),
    )


_SIDE = "Bins [lo, hi), probabilities clipped to [eps, 1 - eps]; of two classes P(1)."
NETCAL = [
    _preset("netcal_ece", "sum_b w_b |mean confidence - accuracy|", _weighted, _SIDE),
    _preset(
        "netcal_ace",
        "mean over non-empty bins of |mean confidence - accuracy|",
        _average,
        "The average over bins, whatever their weight (not adaptive). " + _SIDE,
    ),
    _preset("netcal_mce", "max_b |mean confidence - accuracy|", _largest, _SIDE),
    _preset(
        "netcal_ece_equal_mass",
        "sum_b w_b |mean confidence - accuracy|",
        _weighted,
        "Edges are interpolated quantiles, bins [lo, hi); of two classes P(1).",
        is_even=False,
    ),
]

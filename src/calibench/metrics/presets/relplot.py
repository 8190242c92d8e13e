"""relplot's smooth and binned calibration errors."""

import math

import numpy as np
from jaxtyping import Float

from calibench.metrics.definitions import Definition
from calibench.metrics.presets.preset import Handed, Preset, Touched

_MESH = 200
_STEPS = 10
_SMALLEST_WIDTH = 0.001
_DENSITY_FLOOR = 0.0001


def _smooth(given: Handed, _: int) -> float:
    gap = given.confidence - given.correct.astype(np.float64)
    # Ten halvings: the least multiple of 1 / 1024 found to be at least its own error.
    low, high = 0.0, 1.0
    for _step in range(_STEPS):
        width = (low + high) / 2
        if width < _SMALLEST_WIDTH or width < _at_width(given.confidence, gap, width):
            low = width
        else:
            high = width
    return _at_width(given.confidence, gap, high)


def _at_width(
    position: Float[np.ndarray, " examples"],
    gap: Float[np.ndarray, " examples"],
    width: float,
) -> float:
    """The mean over a mesh of |smoothed gap|, weighted by the smoothed density."""
    mesh = np.linspace(0, 1, max(round(10 / width), _MESH))
    density = _smoothed(position, np.ones_like(gap), mesh, width) + _DENSITY_FLOOR
    mean_gap = _smoothed(position, gap, mesh, width) / density
    return float(np.sum(np.abs(mean_gap) * density) / np.sum(density))


def _smoothed(
    position: Float[np.ndarray, " examples"],
    weight: Float[np.ndarray, " examples"],
    mesh: Float[np.ndarray, " points"],
    width: float,
) -> Float[np.ndarray, " points"]:
    """Weights spread over a grid, reflected at its ends, smoothed, read at the mesh."""
    size = max(2000, round(20 / width)) // 2 + 1
    values = _spread(position, weight, size)
    # Each end stands once among its reflections: what lies on it loses half its mass.
    reflected = np.pad(values, size - 1, mode="reflect")
    at = np.linspace(0, 1, size) - 0.5
    kernel = np.exp(-at * at / (2 * width**2)) / (math.sqrt(2 * math.pi) * width)
    half = size // 2
    smooth = np.convolve(reflected, kernel, "valid")[half : half + size]
    return _between(smooth, mesh)


def _spread(
    position: Float[np.ndarray, " examples"],
    weight: Float[np.ndarray, " examples"],
    size: int,
) -> Float[np.ndarray, " points"]:
    """Each weight shared by the two grid points beside its position."""
    scaled = position * (size - 1)
    cell = np.clip(scaled.astype(np.int64), 0, size - 2)
    upper = scaled - cell
    low = np.bincount(cell, (1 - upper) * weight, size)
    return np.asarray(low + np.bincount(cell + 1, upper * weight, size))


def _between(
    values: Float[np.ndarray, " points"], mesh: Float[np.ndarray, " mesh"]
) -> Float[np.ndarray, " mesh"]:
    last = len(values) - 1
    cell = np.clip((mesh * last).astype(np.int64), 0, last - 1)
    # Not mesh * last - cell: the two round apart, and a threshold follows.
    upper = (mesh - cell * (1 / last)) / (1 / last)
    return np.asarray(values[cell] * (1 - upper) + values[cell + 1] * upper)


def _binned(given: Handed, m: int) -> float:
    width = 1.0 / m
    gap = given.confidence - given.correct.astype(np.float64)
    index = (given.confidence / width).astype(np.int64)
    return float(np.abs(np.bincount(index, gap)).sum() / len(gap))


def _at_1(given: Handed) -> int:
    return int((given.confidence == 1).sum())


def _smooth_definition(_: int, __: int) -> Definition:
    return Definition(
        quantity="integral of |mean_i K_s(t, c_i) (c_i - a_i)| dt over that of density",
        probability="predicted class",
        edges="Gaussian on a grid of at least 1001 points, s a multiple of 1 / 1024",
        dropped="half the mass at confidence 0 and 1",
        norm="l1",
    )


def _binned_definition(m: int, _: int) -> Definition:
    # Of 93 bins the quotient 1 / (1 / 93) rounds below 93: there 1 is in the last bin.
    is_beyond = int(1.0 / (1.0 / m)) == m
    return Definition(
        quantity="sum_b |sum of (confidence - correct)| / n",
        probability="predicted class",
        num_bins=m,
        scheme="equal_width",
        closed="left",
        edges="floor of the quotient by the float64 1 / M",
        extra_bin="confidence exactly 1" if is_beyond else None,
        norm="l1",
    )


RELPLOT = [
    Preset(
        name="relplot_smece",
        library="relplot",
        versions="1.0.2 and later",
        checked="1.0.3",
        call="smECE(confidence, correct)",
        ours="smooth_ece",
        differs="A density in the denominator; a width on a grid of 1 / 1024.",
        fault="reflection on the grid halves the mass at confidence exactly 0 and 1",
        touched=Touched("confidences of exactly 1", _at_1),
        define=_smooth_definition,
        compute=_smooth,
    ),
    Preset(
        name="relplot_binned_ece",
        library="relplot",
        versions="1.0",
        checked="1.0.3",
        call="metrics.binnedECE(confidence, correct, nbins=M)",
        ours="top_label_ece",
        differs="Bins [lo, hi), by division, and for most M one more for confidence 1.",
        fault="confidence exactly 1 gets a bin beyond the last",
        touched=Touched("confidences of exactly 1", _at_1),
        define=_binned_definition,
        compute=_binned,
    ),
]

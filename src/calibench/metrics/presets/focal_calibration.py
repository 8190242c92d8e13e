"""The ECE of Guo et al.'s repository, and the metrics of Mukhoti et al.'s."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from calibench.metrics.definitions import Definition
from calibench.metrics.presets.preset import Handed, Preset, Touched
from calibench.metrics.presets.single_precision import torch_edges

_SIZE = "sum_b w_b |mean confidence - accuracy|"


def _ece(given: Handed, m: int) -> float:
    edges = torch_edges(m, np.dtype(np.float32))
    return float(_error(given.confidence, given.correct, edges))


def _adaptive(given: Handed, m: int) -> float:
    n = len(given.labels)
    # The positions of the edges run to n, the ranks only to n - 1.
    ranks = np.linspace(0, n, m + 1)
    edges = np.interp(ranks, np.arange(n), np.sort(given.confidence))
    return float(_error(given.confidence, given.correct, edges))


def _classwise(given: Handed, m: int) -> float:
    edges = torch_edges(m, np.dtype(np.float32))
    errors = [
        _error(given.probs[:, k], given.labels == k, edges)
        for k in range(int(given.labels.max()) + 1)
    ]
    return float(np.mean(np.asarray(errors, dtype=np.float32)))


def _error(
    values: Float[np.ndarray, " examples"],
    hits: Bool[np.ndarray, " examples"],
    edges: Float[np.ndarray, " edges"],
) -> np.float32:
    """Sum of |mean value - share of hits| times share, what lies in no bin left out."""
    total = np.float32(0)
    n = np.float32(len(values))
    # A comparison with a number takes place in the dtype of the tensor.
    for low, high in pairwise(edges.astype(values.dtype)):
        inside = (values > low) & (values <= high)
        count = np.float32(inside.sum())
        if count:
            share = np.float32(hits[inside].sum()) / count
            total += np.float32(np.abs(values[inside].mean() - share) * (count / n))
    return total


def _least_confident(given: Handed) -> int:
    return int((given.confidence == given.confidence.min()).sum())


def _classes_left_out(given: Handed) -> int:
    return given.num_classes - 1 - int(given.labels.max())


def _guo(m: int, _: int) -> Definition:
    return Definition(
        quantity=_SIZE,
        probability="predicted class",
        num_bins=m,
        scheme="equal_width",
        closed="right",
        edges="torch.linspace's, in float32",
        dropped="confidence 0, which no predicted class has",
        norm="l1",
        sums="float32",
    )


def _adaptive_definition(m: int, _: int) -> Definition:
    return Definition(
        quantity=_SIZE,
        probability="predicted class",
        num_bins=m,
        scheme="equal_mass",
        closed="right",
        edges="order statistics at b n / M, between two of them by interpolation",
        dropped="the examples of least confidence",
        norm="l1",
        sums="float32",
    )


def _classwise_definition(m: int, _: int) -> Definition:
    return Definition(
        quantity="mean over classes of sum_b w_b |mean p - share with the label|",
        probability="every class",
        num_bins=m,
        scheme="equal_width",
        closed="right",
        edges="torch.linspace's, in float32",
        dropped="probabilities of exactly 0; classes above the largest label present",
        reduction="mean over the classes up to the largest label present",
        norm="l1",
        sums="float32",
    )


FOCAL_CALIBRATION = [
    Preset(
        name="guo2017_ece",
        library="temperature_scaling",
        versions="all",
        checked="126a509",
        call="_ECELoss(n_bins=M)(logits, labels), ECELoss of focal_calibration too",
        ours="top_label_ece",
        differs="The same bins; edges and sums in float32.",
        define=_guo,
        compute=_ece,
    ),
    Preset(
        name="focal_calibration_adaece",
        library="focal_calibration",
        versions="all",
        checked="8239b9b",
        call="AdaptiveECELoss(n_bins=M)(logits, labels)",
        ours="top_label_ece_equal_mass",
        differs="Edges between ranks by interpolation, and the first is open below.",
        fault="the least confident examples lie in no bin, and count for nothing",
        touched=Touched("examples of the least confidence", _least_confident),
        define=_adaptive_definition,
        compute=_adaptive,
    ),
    Preset(
        name="focal_calibration_classwise_ece",
        library="focal_calibration",
        versions="all",
        checked="8239b9b",
        call="ClasswiseECELoss(n_bins=M)(logits, labels)",
        ours="classwise_ece",
        differs="Probabilities of exactly 0 lie in no bin; sums in float32.",
        fault="classes above the largest label present are left out of the mean",
        touched=Touched("classes left out", _classes_left_out),
        define=_classwise_definition,
        compute=_classwise,
    ),
]

"""scikit-learn's calibration curve and proper scores."""

from functools import partial
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from calibench.metrics.definitions import Definition
from calibench.metrics.presets.preset import Dtype, Handed, Preset, Touched
from calibench.predictions import Predictions
from calibench.validation import member

Strategy: TypeAlias = Literal["uniform", "quantile"]
Points: TypeAlias = Float[np.ndarray, " bins"]


def calibration_curve(
    some: Predictions,
    *,
    num_bins: int = 5,
    strategy: str = "uniform",
    dtype: Dtype = "float64",
) -> tuple[Points, Points]:
    """What scikit-learn's `calibration_curve` returns for these predictions.

    Of two classes for the probability of class 1, of more for the confidence.

    Returns:
        Share of hits, and mean probability, of each non-empty bin; no counts.

    Raises:
        ParameterError: There is no such strategy.

    Example:
        >>> some = Predictions.from_probs([0.25, 0.75, 0.75], [0, 1, 0])
        >>> share, mean = calibration_curve(some, num_bins=2)
        >>> share.tolist(), mean.tolist()
        ([0.0, 0.5], [0.25, 0.75])
    """
    member(strategy, ("uniform", "quantile"), "strategy")
    return _curve(Handed.of(some, dtype), num_bins, strategy)


def _curve(given: Handed, m: int, strategy: str) -> tuple[Points, Points]:
    if given.num_classes == 2:
        values, hits = given.binary()
    else:
        values, hits = given.confidence, given.correct
    shares = np.linspace(0.0, 1.0, m + 1)
    edges = shares if strategy == "uniform" else np.percentile(values, shares * 100)
    index = np.searchsorted(edges[1:-1], values)
    count = np.bincount(index, minlength=m)
    held = count > 0
    share = np.bincount(index, hits, m)[held] / count[held]
    return share, np.bincount(index, values, m)[held] / count[held]


def _curve_distance(given: Handed, m: int, *, strategy: Strategy) -> float:
    share, mean = _curve(given, m, strategy)
    return float(np.abs(share - mean).mean())


def _curve_definition(m: int, num_classes: int, *, strategy: Strategy) -> Definition:
    is_uniform = strategy == "uniform"
    return Definition(
        quantity="mean over the curve's points of |mean confidence - accuracy|",
        probability="class 1" if num_classes == 2 else "predicted class",
        num_bins=m,
        scheme="equal_width" if is_uniform else "equal_mass",
        closed="right",
        edges=f"numpy.{'linspace' if is_uniform else 'percentile'}'s, ends open",
        norm="l1",
    )


def _brier(given: Handed, _: int) -> float:
    hits = np.zeros_like(given.probs)
    hits[np.arange(len(hits)), given.labels] = 1
    total = np.average(((hits - given.probs) ** 2).sum(axis=1))
    return float(total / 2 if given.num_classes == 2 else total)


def _brier_definition(_: int, num_classes: int) -> Definition:
    half, most = ("half of ", 1) if num_classes == 2 else ("", 2)
    return Definition(
        quantity=f"{half}mean sum_k (p_k - [k is the label])^2, from 0 to {most}",
        probability="every class",
    )


def _log_loss(given: Handed, _: int) -> float:
    epsilon = np.finfo(given.probs.dtype).eps
    clipped = np.clip(given.probs, epsilon, 1 - epsilon)
    return float(np.average(-np.log(clipped[np.arange(len(clipped)), given.labels])))


def _below_epsilon(given: Handed) -> int:
    of_label = given.probs[np.arange(len(given.labels)), given.labels]
    return int((of_label < np.finfo(of_label.dtype).eps).sum())


def _log_loss_definition(_: int, __: int) -> Definition:
    return Definition(
        quantity="mean -ln p(label), p clipped to [eps, 1 - eps] of its dtype",
        probability="label",
    )


def _curve_preset(strategy: Strategy) -> Preset:
    mass = "_equal_mass" if strategy == "quantile" else ""
    rule = "interpolated quantiles" if mass else "numpy.linspace's"
    return Preset(
        name=f"sklearn_curve_{strategy}",
        library="scikit-learn",
        versions="1.6 and later",
        checked="1.9.1",
        call=f"calibration_curve(y, p, n_bins=M, strategy={strategy!r})",
        ours=f"top_label_ece{mass}",
        differs=f"It returns points without counts, so bins weigh alike; edges {rule}.",
        define=partial(_curve_definition, strategy=strategy),
        compute=partial(_curve_distance, strategy=strategy),
    )


SCIKIT_LEARN = [
    _curve_preset("uniform"),
    _curve_preset("quantile"),
    Preset(
        name="sklearn_brier",
        library="scikit-learn",
        versions="1.7 and later",
        checked="1.9.1",
        call="brier_score_loss(y, p, labels=range(K))",
        ours="brier",
        differs="The same for three classes and more, half of ours for two.",
        define=_brier_definition,
        compute=_brier,
    ),
    Preset(
        name="sklearn_log_loss",
        library="scikit-learn",
        versions="1.6 and later",
        checked="1.9.1",
        call="log_loss(y, p, labels=range(K))",
        ours="nll",
        differs="Probabilities are clipped at eps (one given as 0 costs 36 nats, not "
        "infinity), and rows are taken as they are, where ours are normalized.",
        touched=Touched("labels of a probability below eps", _below_epsilon),
        define=_log_loss_definition,
        compute=_log_loss,
    ),
]

"""The definitions of the numbers against the truth."""

from dataclasses import replace
from typing import Any

from calibench.metrics.definitions import AT_LEAST, EDGES, Definition
from calibench.metrics.truth import TruthKind

_NORMAL = "normal theory of a mean"


def truth_definitions(num_bins: int, kind: TruthKind) -> dict[str, Definition]:
    """The definition of every number of `evaluate_truth`, by name."""
    of_truth = {"posterior": "P", "counts": "P = counts / m"}[kind]
    noisy = AT_LEAST if kind == "counts" else _NORMAL
    less = ", less f (1 - f) / (m - 1)" if kind == "counts" else ""
    top: dict[str, Any] = {"probability": "predicted class", "sums": "float64"}
    every: dict[str, Any] = {"probability": "every class", "sums": "float64"}
    made = {
        "true_calibration_error": Definition(
            quantity="mean |P(predicted) - c|", norm="l1", interval=noisy, **top
        ),
        "true_squared_calibration_error": Definition(
            quantity=f"mean (P(predicted) - c)^2{less}", norm="l2 squared", **top
        ),
        "true_canonical_l1": Definition(
            quantity="mean sum_k |P_k - p_k|", norm="l1", interval=noisy, **every
        ),
        "true_canonical_l2": Definition(
            quantity="mean root sum_k (P_k - p_k)^2", norm="l2", interval=noisy, **every
        ),
        "true_canonical_l2_squared": Definition(
            quantity=f"mean sum_k (P_k - p_k)^2{less}", norm="l2 squared", **every
        ),
        "true_kl": Definition(
            quantity="mean sum_k P_k ln(P_k / p_k)", interval=noisy, **every
        ),
        "soft_label_nll": Definition(quantity="mean -sum_k P_k ln p_k", **every),
        "soft_label_brier": Definition(
            quantity="mean sum_k p_k^2 - 2 p_k P_k + P_k", **every
        ),
        "soft_label_ece": Definition(
            quantity="sum_b w_b |mean confidence - mean P(predicted)|",
            num_bins=num_bins,
            scheme="equal_width",
            closed="right",
            edges=EDGES,
            norm="l1",
            interval=AT_LEAST,
            probability="predicted class",
            sums="fixed point",
        ),
    }
    unbiased = {"l2 squared"} if kind == "counts" else set[str]()
    return {
        name: replace(
            each,
            quantity=f"{each.quantity}; {of_truth}",
            debiased=each.norm in unbiased,
            interval=each.interval or _NORMAL,
        )
        for name, each in made.items()
    }

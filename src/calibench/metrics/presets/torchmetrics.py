"""torchmetrics' calibration errors, before its version 1.0 and since."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from calibench.metrics.definitions import Definition
from calibench.metrics.presets.preset import (
    Handed,
    NoNumberError,
    Preset,
    Touched,
    at_1,
)
from calibench.metrics.presets.single_precision import means, sums_in_turn, torch_edges

Confidence: TypeAlias = Float[np.ndarray, " examples"]
Correct: TypeAlias = Bool[np.ndarray, " examples"]
TorchNorm: TypeAlias = Literal["l1", "l2", "max"]

_OURS: dict[TorchNorm, str] = {
    "l1": "top_label_ece",
    "l2": "rms_calibration_error",
    "max": "max_calibration_error",
}
_QUANTITY: dict[TorchNorm, str] = {
    "l1": "sum_b w_b |mean confidence - accuracy|",
    "l2": "sqrt(sum_b w_b (mean confidence - accuracy)^2)",
    "max": "max_b |mean confidence - accuracy|",
}


def _error(confidence: Confidence, correct: Correct, m: int, norm: TorchNorm) -> float:
    """Since 1.0: bins [lo, hi), so that 1 itself starts one more."""
    edges = torch_edges(m, confidence.dtype)
    index = np.searchsorted(edges, confidence, side="right") - 1
    return _reduced(index, confidence, correct, m + 1, norm)


def _error_before_1(
    confidence: Confidence, correct: Correct, m: int, norm: TorchNorm
) -> float:
    # Its edges are float32 even where the probabilities are float64.
    index = np.searchsorted(torch_edges(m, np.dtype(np.float32)), confidence) - 1
    if index.min() < 0:
        msg = "a probability of 0 gets the bin -1, and torch stops."
        raise NoNumberError(msg)
    return _reduced(index, confidence, correct, m, norm)


def _reduced(
    index: np.ndarray,
    confidence: Confidence,
    correct: Correct,
    size: int,
    norm: TorchNorm,
) -> float:
    dtype = confidence.dtype
    count = sums_in_turn(index, np.ones_like(confidence), size)
    accuracy = means(sums_in_turn(index, correct.astype(dtype), size), count)
    gap = np.abs(accuracy - means(sums_in_turn(index, confidence, size), count))
    share = count / count.sum()
    if norm == "l1":
        return float(np.sum(gap * share))
    if norm == "max":
        return float(gap.max())
    return float(np.sqrt(np.sum(gap**2 * share)))


def _top_label(
    given: Handed, m: int, *, norm: TorchNorm, error: Callable[..., float]
) -> float:
    # Classes are compared in the dtype given, then everything is float32.
    confidence = given.confidence.astype(np.float32)
    return error(confidence, given.correct, m, norm)


def _class_1(
    given: Handed, m: int, *, norm: TorchNorm, error: Callable[..., float]
) -> float:
    return error(*given.binary(), m, norm)


def _certain(given: Handed) -> int:
    return int((given.probs[:, 1] == 1).sum())


def _definition(
    m: int, _: int, *, norm: TorchNorm, is_old: bool, is_binary: bool
) -> Definition:
    at_0 = "confidence 0 stops it" if is_old else "confidence 1 in a bin of its own"
    return Definition(
        quantity=_QUANTITY[norm],
        probability="class 1" if is_binary else "predicted class",
        num_bins=m,
        scheme="equal_width",
        closed="right" if is_old else "left",
        edges=f"torch.linspace's; {at_0}",
        extra_bin=None if is_old else "confidence exactly 1",
        norm=norm,
        sums="float64" if is_binary else "float32",
    )


_DRIFT = "float32 sums taken one by one lose digits as they grow, all from 2^24 on"
_PHANTOM = "what is 1, or rounds to it in float32, gets a bin beyond the last"
_BEYOND = "1 gets a bin beyond the last"


def _preset(norm: TorchNorm, *, is_old: bool, is_binary: bool) -> Preset:
    error = _error_before_1 if is_old else _error
    kind = "Binary" if is_binary else "Multiclass"
    side = (
        "Edges and sums in float32, bins (lo, hi] as ours."
        if is_old
        else "Bins [lo, hi) and one more for confidence 1; edges and sums in float32."
    )
    fault = _DRIFT if is_old else f"{_PHANTOM}; {_DRIFT}"
    certain = Touched("confidences that are 1 in float32", at_1)
    if is_binary:
        certain = Touched("probabilities of class 1 that are exactly 1", _certain)
        side = (
            "Edges in float32, bins (lo, hi]; of P(class 1), not of the confidence."
            if is_old
            else "Bins [lo, hi) and one more for 1 (in 1.0 edges in float32); of "
            "P(class 1), not of the confidence."
        )
        fault = f"a probability of exactly {'0 stops it' if is_old else _BEYOND}"
    return Preset(
        name=f"torchmetrics{'_before_1' * is_old}{'_binary' * is_binary}_{norm}",
        library="torchmetrics",
        versions="before 1.0" if is_old else "1.0 and later",
        checked="0.11.4" if is_old else "1.9.0",
        call=f"{kind}CalibrationError(n_bins=M, norm={norm!r})",
        ours=_OURS[norm],
        differs=side,
        fault=fault,
        touched=None if is_old else certain,
        define=partial(_definition, norm=norm, is_old=is_old, is_binary=is_binary),
        compute=partial(_class_1 if is_binary else _top_label, norm=norm, error=error),
    )


TORCHMETRICS = [
    _preset(norm, is_old=is_old, is_binary=is_binary)
    for is_old in (False, True)
    for is_binary in (False, True)
    for norm in _QUANTITY
]

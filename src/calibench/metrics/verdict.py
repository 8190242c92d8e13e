"""An evaluation in words."""

import math
from collections.abc import Mapping

from calibench.metrics.floor import NoiseFloor
from calibench.metrics.intervals import Interval
from calibench.metrics.measurement import Measurement, TemperatureDiagnosis

# Half the 95 % quantile of chi-squared with one degree of freedom: a gain of the total
# log-likelihood beyond it is hard to blame on chance (likelihood ratio test).
_CLEAR_GAIN = 1.92
_SIGNIFICANT = 0.05


def verdict_on(
    n: int | None,
    measured: Mapping[str, Measurement],
    temperature: TemperatureDiagnosis,
) -> str:
    """Say whether the confidence can be trusted, and whether a temperature would help.

    Args:
        n: How many examples; None where weights do not count them.
        measured: The numbers of `evaluate`, by name.
        temperature: The diagnosis by temperature.
    """
    loss = measured["nll"].value
    if n is None:
        return _on_weighted(measured)
    sentences = [_on_calibration(n, measured)]
    if not math.isfinite(loss):
        sentences.append("The NLL is infinite: a label was given probability 0.")
    elif temperature.value is not None and temperature.nll is not None:
        sentences.append(_on_temperature(n, loss, temperature.value, temperature.nll))
    return " ".join(sentences)


def _on_weighted(measured: Mapping[str, Measurement]) -> str:
    gap, accuracy = measured["confidence_gap"], measured["accuracy"].value
    error = f"ECE {_percent(measured['top_label_ece'].value)}"
    if not _excludes_zero(gap.interval):
        return f"{error}, weighted: what chance alone makes is not known."
    direction = "Over-confident" if gap.value > 0 else "Under-confident"
    confidence = _percent(accuracy + gap.value)
    return (
        f"{direction} by {_points(abs(gap.value))}: weighted mean confidence "
        f"{confidence}, accuracy {_percent(accuracy)} ({error})."
    )


def _on_calibration(n: int, measured: Mapping[str, Measurement]) -> str:
    error, gap = measured["top_label_ece"], measured["confidence_gap"]
    floor, accuracy = error.floor, measured["accuracy"].value
    classes = measured["classwise_ece"]
    if floor is None:
        return f"ECE {_percent(error.value)} at n = {n:,}."
    beside = f"where chance alone makes {_percent(floor.mean)} on average"
    evidence = f"ECE {_percent(error.value)} {beside}, p {_p_value(floor)}"
    if floor.p_value > _SIGNIFICANT:
        sound = f"No sign of miscalibration at n = {n:,}: {evidence}."
        return f"{sound}{_on_classes(classes)}"
    if _excludes_zero(gap.interval):
        direction = "Over-confident" if gap.value > 0 else "Under-confident"
        confidence = _percent(accuracy + gap.value)
        return (
            f"{direction} by {_points(abs(gap.value))}: mean confidence {confidence}, "
            f"accuracy {_percent(accuracy)} ({evidence})."
        )
    over, under = measured["overconfidence"].value, measured["underconfidence"].value
    return (
        f"Miscalibrated: over-confident bins make {_points(over)} and under-confident "
        f"bins {_points(under)} ({evidence})."
    )


def _on_classes(error: Measurement) -> str:
    floor = error.floor
    if floor is None or floor.p_value > _SIGNIFICANT:
        return ""
    return (
        " That holds for the predicted class; class by class the error is "
        f"{_percent(error.value)}, by chance {_percent(floor.mean)}, "
        f"p {_p_value(floor)}."
    )


def _on_temperature(n: int, loss: float, temperature: float, lowest: float) -> str:
    if n * (loss - lowest) <= _CLEAR_GAIN:
        return f"No temperature is clearly better than 1 (best: {temperature:#.3g})."
    return (
        f"Dividing the logits by {temperature:#.3g} would lower the NLL from "
        f"{loss:.3f} to {lowest:.3f} on these examples."
    )


def _excludes_zero(interval: Interval | None) -> bool:
    return interval is not None and not interval[0] <= 0 <= interval[1]


def _p_value(floor: NoiseFloor) -> str:
    smallest = 1 / (1 + floor.replicates)
    return f"{'<=' if floor.p_value <= smallest else '='} {floor.p_value:.2g}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f} points"

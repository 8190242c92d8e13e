"""How models, losses and numbers are called where a person reads them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from calibench.lab.report.results import LossEntry
from calibench.lab.report.summary import SIGNIFICANCE

_MODEL = re.compile(r"(resnet|vgg)(\d+)")
_MODEL_FAMILIES = {"resnet": "ResNet", "vgg": "VGG"}


def model_label(model: str) -> str:
    """Return a model as papers spell it; unknown models keep their name.

    Example:
        >>> model_label("resnet18"), model_label("vgg16"), model_label("mine")
        ('ResNet18', 'VGG16', 'mine')
    """
    match = _MODEL.fullmatch(model)
    return _MODEL_FAMILIES[match[1]] + match[2] if match else model


def model_list(models: Sequence[str]) -> str:
    """Name models in a sentence.

    Example:
        >>> model_list(["resnet18", "vgg16"])
        'ResNet18 and VGG16'
    """
    return listing([model_label(model) for model in models])


def loss_labels(losses: Sequence[LossEntry]) -> dict[str, str]:
    """Return the readable label of every loss, by name; no two are equal."""
    labels = {loss.name: _loss_label(loss) for loss in losses}
    spelled = list(labels.values())
    return {
        name: label if spelled.count(label) == 1 else f"{label} [{name}]"
        for name, label in labels.items()
    }


def _loss_label(loss: LossEntry) -> str:
    # A name that does not begin with the kind was chosen by the user.
    was_named = not loss.name.startswith(loss.kind)
    if was_named or loss.kind not in _LOSS_LABELS:
        return loss.name
    return _LOSS_LABELS[loss.kind](loss.parameters)


def _cross_entropy(parameters: Mapping[str, Any]) -> str:
    smoothing = parameters.get("smoothing", 0)
    return f"label smoothing (ε = {smoothing:g})" if smoothing else "cross-entropy"


def _lp_norm(parameters: Mapping[str, Any]) -> str:
    p = parameters.get("p", 1)
    return (
        f"L{'∞' if p == 'inf' else format(p, 'g')} norm (α = {parameters['alpha']:g})"
    )


def _entropy(parameters: Mapping[str, Any]) -> str:
    return f"entropy reg. (α = {parameters['alpha']:g})"


def _focal(parameters: Mapping[str, Any]) -> str:
    detached = ", detached" if parameters.get("detached") else ""
    return f"focal (γ = {parameters['gamma']:g}{detached})"


def _label_smoothing(parameters: Mapping[str, Any]) -> str:
    others = ", others" if parameters.get("over") == "other_classes" else ""
    return f"label smoothing (ε = {parameters['eps']:g}{others})"


def _flsd(parameters: Mapping[str, Any]) -> str:
    return "FLSD-" + "".join(format(gamma, "g") for gamma in parameters["gammas"])


def _focal_schedule(parameters: Mapping[str, Any]) -> str:
    return f"focal (γ = {', '.join(format(g, 'g') for g in parameters['gammas'])})"


def _with(name: str, *symbols: tuple[str, str]) -> Callable[[Mapping[str, Any]], str]:
    """Return a label of a name and parameters, each with the symbol it is shown by."""

    def label(parameters: Mapping[str, Any]) -> str:
        said = [f"{symbol} = {parameters[key]:g}" for key, symbol in symbols]
        return f"{name} ({', '.join(said)})" if said else name

    return label


_LOSS_LABELS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "cross_entropy": _cross_entropy,
    "lp_norm": _lp_norm,
    "entropy": _entropy,
    "focal": _focal,
    "brier": _with("Brier"),
    "label_smoothing": _label_smoothing,
    "margin_smoothing": _with("MbLS", ("margin", "m"), ("alpha", "α")),
    "acls": _with("ACLS", ("margin", "m")),
    "logit_norm": _with("LogitNorm", ("tau", "τ")),
    "squentropy": _with("squentropy", ("alpha", "α")),
    "flsd": _flsd,
    "focal_schedule": _focal_schedule,
    "dual_focal": _with("dual focal", ("gamma", "γ")),
    "adafocal": _with("AdaFocal"),
    "mmce": _with("MMCE", ("weight", "λ")),
    "mdca": _with("MDCA", ("weight", "λ")),
    "soft_binned_ece": _with("soft-binned ECE", ("weight", "λ")),
}


def percent(fraction: float, digits: int = 1) -> str:
    """Return a fraction in percent.

    Example:
        >>> percent(0.0625), percent(-0.001)
        ('6.2%', '−0.1%')
    """
    return f"{decimal(100 * fraction, digits)}%"


def points(fraction: float) -> str:
    """Return the size of a difference of fractions in percentage points.

    Example:
        >>> points(-0.03), points(0.01)
        ('3.0 points', '1.0 point')
    """
    number = decimal(abs(100 * fraction), 1)
    return f"{number} point" if float(number) == 1 else f"{number} points"


def decimal(number: float, digits: int) -> str:
    """Return a number with a true minus sign, and never "−0.0"."""
    text = f"{number:.{digits}f}"
    if text.startswith("-"):
        return f"−{text[1:]}" if float(text) else text[1:]
    return text


def p_number(p_value: float) -> str:
    """Return a p-value with the digits that matter.

    Example:
        >>> p_number(0.21), p_number(0.001), p_number(0.0000001)
        ('0.21', '0.001', '< 0.001')
    """
    if p_value < 0.001:
        return "< 0.001"
    return f"{p_value:.{3 if p_value < SIGNIFICANCE else 2}f}"


def listing(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    Example:
        >>> listing(["a"]), listing(["a", "b"]), listing(["a", "b", "c"])
        ('a', 'a and b', 'a, b and c')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "seed"), counted(1200, "epoch")
        ('1 seed', '1,200 epochs')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def sentence(text: str) -> str:
    """Begin with a capital letter, leaving the rest as it is.

    Example:
        >>> sentence("cross-entropy on ResNet18.")
        'Cross-entropy on ResNet18.'
    """
    return text[:1].upper() + text[1:]


def unbroken(text: str) -> str:
    """Keep the name of a loss on one line: "α = 1" and "cross-entropy"."""
    joined = text.replace(" = ", "\u00a0=\u00a0").replace("L1 norm", "L1\u00a0norm")
    return joined.replace("cross-entropy", "cross\u2011entropy")


def interval(low: float, high: float) -> str:
    """Return a range of fractions in percent, or one number where they print alike.

    Example:
        >>> interval(0.01, 0.025), interval(0.01, 0.0101)
        ('1.0 to 2.5%', '1.0%')
    """
    if percent(low) == percent(high):
        return percent(low)
    return f"{percent(low)[:-1]} to {percent(high)}"

"""Pictures of losses: how hard each pulls on the label, and where it stops."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibench.lab.report.style import INK, MUTED
from calibench.lab.report.wording import decimal
from calibench.losses import (
    ACLS,
    FLSD,
    MDCA,
    MMCE,
    AdaFocal,
    Brier,
    CrossEntropy,
    DualFocal,
    EntropyRegularization,
    Focal,
    LabelSmoothing,
    LogitNorm,
    Loss,
    LpNorm,
    MarginSmoothing,
    PerExampleLoss,
    SoftBinnedECE,
    Squentropy,
    TargetedLoss,
)
from canvas import NUM_CLASSES, OTHER, OVER, UNDER, note, panels, unit_ticks

_LOOKS = ((UNDER, "-"), (OVER, "--"), (OTHER, "-."), (INK, ":"))
_OTHERS = 255
_LENGTH = 10.0

PerExampleLosses = Mapping[str, PerExampleLoss]
Curve = Callable[[PerExampleLoss, torch.Tensor], torch.Tensor]
Batch = Callable[[torch.Tensor], torch.Tensor]


def _places() -> torch.Tensor:
    """Probabilities of the label, denser towards the ends."""
    return torch.linspace(-7, 8, 301, dtype=torch.float64).sigmoid()


def _gaps(p: torch.Tensor) -> torch.Tensor:
    """The label's logit above all others, which are equal."""
    return (p / (1 - p)).log() + torch.tensor(NUM_CLASSES - 1.0).double().log()


def _gradient(loss: PerExampleLoss, logits: torch.Tensor) -> torch.Tensor:
    """The gradient of each row, whose label is class 0."""
    leaf = logits.requires_grad_()
    value = loss.per_example(leaf, torch.zeros(len(leaf), dtype=torch.int64))
    return torch.autograd.grad(value.sum(), leaf)[0]


def _label_pull(loss: PerExampleLoss, p: torch.Tensor) -> torch.Tensor:
    """The pull on the label's logit, the others being 0."""
    logits = torch.zeros(len(p), NUM_CLASSES, dtype=torch.float64)
    logits[:, 0] = _gaps(p)
    if getattr(loss, "p", 1) == 2:
        logits -= logits.mean(dim=1, keepdim=True)  # where the norm is least
    return -_gradient(loss, logits)[:, 0] / (1 - p)


def _others_push(loss: PerExampleLoss, p: torch.Tensor) -> torch.Tensor:
    """The push on all other logits, which are equal, the label's being 0."""
    logits = -_gaps(p)[:, None].repeat(1, NUM_CLASSES)
    logits[:, 0] = 0
    return _gradient(loss, logits)[:, 1:].sum(dim=1) / (1 - p)


def _divided(loss: PerExampleLoss, _: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The same for logits of one length, turned towards the label."""
    assert isinstance(loss, LogitNorm)  # noqa: S101 - the only one of this picture
    angle = torch.linspace(0, torch.pi, 301, dtype=torch.float64)[:, None]
    across = torch.full((1, NUM_CLASSES), -1.0, dtype=torch.float64)
    across[0, 0] = NUM_CLASSES - 1
    across /= across.norm()
    # Away from the label's direction the others differ, and so more than one is seen.
    beside = torch.zeros(1, NUM_CLASSES, dtype=torch.float64)
    beside[0, 1], beside[0, 2] = 0.5**0.5, -(0.5**0.5)
    logits = _LENGTH * (angle.cos() * across + angle.sin() * beside)
    p = (logits / (loss.tau * _LENGTH)).softmax(dim=1)[:, 0]
    return p, -_gradient(loss, logits)[:, 0] * loss.tau * _LENGTH / (1 - p)


def _draw(axes: Axes, losses: PerExampleLosses, curve: Curve) -> None:
    p = _places()
    axes.axhline(1, color=MUTED, linewidth=1)
    axes.axhline(0, color=MUTED, linewidth=0.6)
    for (name, loss), (color, dash) in zip(losses.items(), _LOOKS, strict=False):
        axes.plot(p, curve(loss, p), color=color, linestyle=dash, label=name)
        _mark(axes, loss, color)
    _finish(axes)


def _mark(axes: Axes, loss: TargetedLoss, color: str) -> None:
    target = loss.target_confidence(NUM_CLASSES)
    if target < 1:
        axes.plot(target, 0, "o", color=color, clip_on=False, zorder=4)


def _finish(axes: Axes) -> None:
    unit_ticks(axes, "x")
    axes.set(xlabel="probability of the label", ylabel="pull / cross-entropy's")
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))


def _single(
    losses: PerExampleLosses, low: float, high: float, curve: Curve = _label_pull
) -> Figure:
    figure, (axes,) = panels(1)
    _draw(axes, losses, curve)
    axes.set_ylim(low, high)
    if curve is _others_push:
        axes.set_ylabel("push on others / c.-e.'s")
    axes.set_title(f"K = {NUM_CLASSES}; gray: cross-entropy; dots: targets")
    return figure


def logit_norm() -> Figure:
    """The pull on logits of length 10, by what the divided logits say."""
    figure, (axes,) = panels(1)
    axes.axhline(0, color=MUTED, linewidth=0.6)
    axes.axhline(1, color=MUTED, linewidth=1)
    for tau, (color, dash) in zip((0.1, 0.2, 0.5), _LOOKS, strict=False):
        loss = LogitNorm(tau=tau)
        p, pull = _divided(loss, _places())
        axes.plot(p, pull, color=color, linestyle=dash, label=f"τ = {tau:g}")
        _mark(axes, loss, color)
    _finish(axes)
    axes.set(
        xlabel="probability of the label, of the divided logits", ylim=(-0.05, 1.25)
    )
    axes.set_title("times τ and the length; dots: the widest angle, targets")
    return figure


def _sureness(factor: float) -> Batch:
    return lambda logits: factor * logits


def _fondness(shift: float) -> Batch:
    """Prefer class 0, that of the example looked at, by so much more than is right."""
    return lambda logits: torch.cat([logits[:, :1] + shift, logits[:, 1:]], dim=1)


_SURE = {"are too sure": _sureness(2), "are not sure enough": _sureness(0.5)}
_FOND = {"see its class too often": _fondness(1), "too rarely": _fondness(-1)}


def _batch(
    make: Callable[[float], Loss],
    weights: tuple[float, ...],
    batches: Mapping[str, Batch],
) -> Figure:
    """The pull on one example among others that are wrong in either way."""
    figure, axes = panels(2, sharey=True)
    for each, (title, distort) in zip(axes, batches.items(), strict=True):
        each.axhline(1, color=MUTED, linewidth=1)
        for weight, (color, dash) in zip(weights, _LOOKS, strict=False):
            p = _places()[::6]
            pull = [_among(make(weight), float(gap), distort) for gap in _gaps(p)]
            each.plot(
                p,
                torch.tensor(pull) / (1 - p),
                color=color,
                linestyle=dash,
                label=f"weight {weight:g}",
            )
        unit_ticks(each, "x")
        each.set(xlabel="probability of the label")
        each.set_title(f"the other {_OTHERS} {title}")
    axes[0].set(ylabel="pull / cross-entropy's")
    axes[0].legend(loc="lower left")
    return figure


def _among(loss: Loss, gap: float, distort: Batch) -> float:
    generator = torch.Generator().manual_seed(0)
    shape = (_OTHERS, NUM_CLASSES)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    one = torch.zeros(1, NUM_CLASSES, dtype=torch.float64)
    one[0, 0] = gap
    leaf = torch.cat([one, distort(logits)]).requires_grad_()
    value = loss(leaf, torch.cat([torch.zeros(1, dtype=torch.int64), labels]))
    return float(-torch.autograd.grad(value, leaf)[0][0, 0]) * (_OTHERS + 1)


def adafocal() -> Figure:
    """Before and after a held-out set on which the network is too sure at the top."""
    learned = AdaFocal(
        num_bins=4, gammas=(-0.6, 0.7, 1.8, 3.5), edges=(0.35, 0.6, 0.85)
    )
    losses = {"γ = 1 everywhere": AdaFocal(), "four bins, learned": learned}
    figure = _single(losses, -0.1, 2.1)
    axes = figure.axes[0]
    for place, gamma in zip((0.05, 0.39, 0.64, 0.87), learned.gammas, strict=True):
        note(axes, place, 0.97, f"γ = {decimal(gamma, 1)}", OVER)
    return figure


LOSS_PICTURES: dict[str, Callable[[], Figure]] = {
    "cross_entropy": lambda: _single(
        {
            "cross-entropy": CrossEntropy(),
            "smoothing .1": CrossEntropy(smoothing=0.1),
            "smoothing .3": CrossEntropy(smoothing=0.3),
        },
        -0.6,
        1.2,
    ),
    "label_smoothing": lambda: _single(
        {
            "ε = .2, all classes": LabelSmoothing(eps=0.2),
            "ε = .2, other classes": LabelSmoothing(eps=0.2, over="other_classes"),
        },
        -0.6,
        1.2,
    ),
    "lp_norm": lambda: _single(
        {
            "p = 1, α = .1": LpNorm(alpha=0.1),
            "p = 1, α = .3": LpNorm(alpha=0.3),
            "p = 2, α = .3": LpNorm(alpha=0.3, p=2),
        },
        -0.6,
        1.5,
    ),
    "entropy": lambda: _single(
        {f"α = {a:g}": EntropyRegularization(alpha=a) for a in (0.1, 0.3, 1)},
        -1,
        1.6,
    ),
    "focal": lambda: _single(
        {
            "γ = 1": Focal(gamma=1),
            "γ = 3": Focal(gamma=3),
            "γ = 3, detached": Focal(gamma=3, detached=True),
        },
        -0.05,
        1.6,
    ),
    "brier": lambda: _single({"Brier": Brier()}, -0.05, 1.1),
    "margin_smoothing": lambda: _single(
        {
            "m = 3, α = .01": MarginSmoothing(margin=3, alpha=0.01),
            "m = 3, α = .03": MarginSmoothing(margin=3, alpha=0.03),
            "m = 4, α = .03": MarginSmoothing(margin=4, alpha=0.03),
        },
        -1,
        1.5,
    ),
    "acls": lambda: _single(
        {
            "m = 3": ACLS(margin=3),
            "m = 4": ACLS(margin=4),
            "m = 3, others = .1": ACLS(margin=3, others=0.1),
        },
        -1,
        1.2,
        _others_push,
    ),
    "logit_norm": logit_norm,
    "squentropy": lambda: _single(
        {f"α = {a:g}": Squentropy(alpha=a) for a in (0.01, 0.1, 1)},
        -2,
        2,
        _others_push,
    ),
    "flsd": lambda: _single(
        {"FLSD-53": FLSD(), "γ = 3": Focal(gamma=3), "γ = 5": Focal(gamma=5)},
        -0.05,
        1.8,
    ),
    "focal_schedule": lambda: _single(
        {
            "γ = 5, at first": Focal(gamma=5),
            "γ = 3, from 2/7 on": Focal(gamma=3),
            "γ = 2, from 5/7 on": Focal(gamma=2),
        },
        -0.05,
        1.8,
    ),
    "dual_focal": lambda: _single(
        {
            "dual, γ = 3": DualFocal(gamma=3),
            "dual, γ = 5": DualFocal(gamma=5),
            "focal, γ = 3": Focal(gamma=3),
        },
        -0.05,
        2.6,
    ),
    "adafocal": adafocal,
    "mmce": partial(_batch, lambda weight: MMCE(weight=weight), (2.0, 8.0), _SURE),
    "mdca": partial(_batch, lambda weight: MDCA(weight=weight), (1.0, 5.0), _FOND),
    "soft_binned_ece": partial(
        _batch, lambda weight: SoftBinnedECE(weight=weight), (0.5, 2.0), _SURE
    ),
}

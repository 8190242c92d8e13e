"""What the coefficients of a study ask for: what `calibench explain` prints."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from calibench.errors import ParameterError
from calibench.lab.study.loss_facts import FACTS, OWN
from calibench.lab.study.spec import NamedLoss, StudySpec
from calibench.lab.text_table import text_table
from calibench.lab.training.recipe import Recipe
from calibench.losses import LOSSES, Focal, PerExampleLoss

# Where the gradient factor is told.
CONFIDENCES = (0.5, 0.9, 0.99)

# A target above this asks for nothing that training reaches.
_NOTHING = 0.999
# Targets that differ by less are called the same.
_SAME = 1e-3


@dataclass(frozen=True, kw_only=True)
class ExplainedLoss:
    """One loss of a study, with what can be said of it.

    Attributes:
        target_confidence: The p_y at which the loss of one example is least; None where
            a loss of the user's own does not say.
        gradient_factors: At each of `CONFIDENCES`, the pull on the label's logit beside
            that of cross-entropy, the other logits alike and 0; None where the loss is
            not a mean over examples, or ignores the length of the logits.
        conventions: What its coefficients are called elsewhere.
        warnings: What must be known before it is compared.
    """

    name: str
    kind: str
    formula: str
    gradient: str
    link: str
    target_confidence: float | None
    gradient_factors: tuple[float, ...] | None
    conventions: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All losses of a study.

    Attributes:
        warnings: What must be known of the study as a whole.
    """

    study: str
    num_classes: int
    losses: tuple[ExplainedLoss, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    def text(self) -> str:
        """Return it as lines of text."""
        lines = [
            f"{self.study}: {self.num_classes} classes. Target: the p_y at which the "
            "loss of one example is least.",
            "At .5, .9, .99: the pull on the label's logit there, beside that of "
            "cross-entropy.",
            "",
            text_table([_row(each) for each in self.losses]),
        ]
        for each in self.losses:
            lines += ["", *_told(each)]
        if self.warnings:
            lines += ["", *(f"warning: {each}" for each in self.warnings)]
        return "\n".join(lines)


def explained(study: StudySpec, num_classes: int) -> Explanation:
    """Say what each loss of a study asks for, and what cannot be compared."""
    losses = tuple(_explained(each, num_classes, study.train) for each in study.losses)
    return Explanation(
        study=study.name,
        num_classes=num_classes,
        losses=losses,
        warnings=(
            *_of_targets(losses, study.losses, num_classes),
            *_of_forms(study.losses),
            *_of_recipe(study.train),
        ),
    )


def gradient_factor(loss: PerExampleLoss, p_label: float, num_classes: int) -> float:
    """Return -dL/dz_y / (1 - p_y), the other logits being 0: 1 for cross-entropy.

    >>> from calibench.losses import Focal
    >>> round(gradient_factor(Focal(gamma=1), 0.5, num_classes=2), 6)  # .5 + .5 ln 2
    0.846574
    """
    logits = torch.zeros(1, num_classes, dtype=torch.float64)
    logits[0, 0] = math.log(p_label / (1 - p_label) * (num_classes - 1))
    logits.requires_grad_()
    value = loss.per_example(logits, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    return float(-gradient[0, 0] / (1 - p_label))


def _explained(named: NamedLoss, num_classes: int, train: Recipe) -> ExplainedLoss:
    loss = named.loss
    kind = named.to_dict()["kind"]
    facts = FACTS.get(kind, OWN)
    target = None
    if hasattr(loss, "target_confidence"):
        target = float(loss.target_confidence(num_classes))
    factors = None
    if isinstance(loss, PerExampleLoss) and not facts.ignores_length:
        factors = tuple(
            gradient_factor(loss, each, num_classes) for each in CONFIDENCES
        )
    warnings = [*_of_target(target)]
    if facts.is_of_batch:
        size = train.batch_size
        warnings.append(f"it depends on the batch, of {size} here: no other compares.")
    return ExplainedLoss(
        name=named.name,
        kind=kind,
        formula=facts.formula,
        gradient=facts.gradient,
        link=facts.link,
        target_confidence=target,
        gradient_factors=factors,
        conventions=tuple(facts.conventions(loss, num_classes)),
        warnings=tuple(warnings),
    )


def _of_target(target: float | None) -> list[str]:
    if target is None:
        return ["its target confidence is not known, so it cannot be matched."]
    if _NOTHING < target < 1:
        return [
            f"it asks for p_y = {target:.4f}, next to nothing: hardly told from "
            "cross-entropy."
        ]
    if target < 0.5:
        return [f"it asks for p_y = {target:.3f}, less than even odds for the label."]
    return []


def _of_targets(
    losses: Sequence[ExplainedLoss], named: Sequence[NamedLoss], num_classes: int
) -> list[str]:
    regularized = [
        (each, each.target_confidence, its.loss)
        for each, its in zip(losses, named, strict=True)
        if each.target_confidence is not None and each.target_confidence < 1
    ]
    targets = [target for _, target, _ in regularized]
    if not targets or max(targets) - min(targets) <= _SAME:
        return []
    by_target: dict[str, list[str]] = {}
    for each, target, _ in regularized:
        by_target.setdefault(f"{target:.4f}", []).append(each.name)
    listed = "; ".join(f"{p}: {', '.join(names)}" for p, names in by_target.items())
    aims = "; ".join(
        dict.fromkeys(
            _aimed(each.kind, loss, min(targets), num_classes)
            for each, _, loss in regularized
            if each.kind in LOSSES
        )
    )
    return [
        f"these losses ask for different confidences ({listed}), so their coefficients "
        f"are not of equal strength. For {min(targets):.4g} of all: {aims}."
    ]


def _of_forms(losses: Sequence[NamedLoss]) -> list[str]:
    forms = {each.loss.detached for each in losses if isinstance(each.loss, Focal)}
    if len(forms) < 2:
        return []
    return ["focal loss is there full and detached: their gammas do not compare."]


def _aimed(kind: str, own: Any, target: float, num_classes: int) -> str:  # noqa: ANN401 - a loss
    # What the study chose beside the strength, it keeps: the p of a norm, say.
    known = inspect.signature(type(own).for_target_confidence).parameters
    kept = {name: getattr(own, name) for name in known if hasattr(own, name)}
    try:
        loss: Any = type(own).for_target_confidence(target, num_classes, **kept)
    except ParameterError as error:
        return f"{kind} not so ({str(error).removesuffix('.')})"
    set_ = [
        f"{each.name} {value:.4g}"
        if isinstance(value, float)
        else f"{each.name} {value}"
        for each in fields(loss)
        if (value := getattr(loss, each.name)) != each.default
    ]
    return f"{kind} with {', '.join(set_)}"


def _of_recipe(train: Recipe) -> list[str]:
    if train.reduction == "mean":
        return []
    size = train.batch_size
    told = (
        f"the loss is summed over the batch: as the mean with a learning rate of "
        f"{size * train.learning_rate:g} and a weight decay of "
        f"{train.weight_decay / size:.3g}."
    )
    if train.clip_grad_norm is not None:
        told += (
            f" Its gradient is clipped to norm {train.clip_grad_norm:g}, that of the "
            f"mean to {train.clip_grad_norm / size:.3g}: what is clipped loses its "
            "strength, a weak loss less often than a strong one."
        )
    return [told]


def _row(each: ExplainedLoss) -> dict[str, Any]:
    factors = each.gradient_factors or (None,) * len(CONFIDENCES)
    at = {f"at {p:g}": value for p, value in zip(CONFIDENCES, factors, strict=True)}
    return {"loss": each.name, "target": each.target_confidence, **at}


def _told(each: ExplainedLoss) -> list[str]:
    lines = [each.name]
    for label, value in (
        ("loss", each.formula),
        ("gradient", each.gradient),
        ("link", each.link),
    ):
        if value:
            lines.append(f"  {label:<9} {value}")
    lines += [f"  {'elsewhere':<9} {told}" for told in each.conventions]
    lines += [f"  {'warning':<9} {told}" for told in each.warnings]
    return lines

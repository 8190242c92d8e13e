"""The claims of the study that started this project, for the losses a study has.

docs/claims.md states each in full, and what we had to make definite.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from calibench.lab.study.claim import MARGIN, Claim, Hypothesis

_EXCEPTION = "resnet18"
_FLUCTUATING = "vgg16"

Loss = Mapping[str, Any]


def published_claims(spec: Mapping[str, Any]) -> list[Claim]:
    """Return C1 to C4; one that a loss of the study is missing for says so.

    Where the study has a loss more than once, with other coefficients, there is a claim
    for each.

    Args:
        spec: The study as its store has it.
    """
    models = spec["models"]
    plain = _names(spec, lambda loss: _is(loss, "cross_entropy", smoothing=0))
    return [
        *_each("C1", _over_confident, models, "cross-entropy", plain[:1], plain),
        *_each(
            "C2",
            _entropy_fails,
            models,
            "entropy regularization",
            _names(spec, lambda loss: _is(loss, "entropy")),
            plain,
        ),
        *_each(
            "C3",
            _norm_helps,
            models,
            "L1 norm",
            _names(spec, lambda loss: _is(loss, "lp_norm", p=1)),
            plain,
        ),
        *_each(
            "C4",
            _focal_is_lower,
            models,
            "focal loss with its full gradient",
            _names(spec, lambda loss: _is(loss, "focal", detached=False)),
            plain,
        ),
    ]


Making = Callable[[Sequence[str], str, str], tuple[str, list[Hypothesis], int]]


def _each(
    name: str,
    made: Making,
    models: Sequence[str],
    noun: str,
    losses: Sequence[str],
    plain: Sequence[str],
) -> list[Claim]:
    missing = "cross-entropy" if losses else noun
    if not (losses and plain):
        statement, _, _ = made(models, noun, "cross-entropy")
        obstacle = f"the study has no {missing}"
        return [Claim(name=name, statement=statement, obstacle=obstacle)]
    claims = []
    for loss in losses:
        statement, hypotheses, needed = made(models, loss, plain[0])
        claims.append(
            Claim(
                name=name if len(losses) == 1 else f"{name} {loss}",
                statement=statement,
                hypotheses=tuple(hypotheses),
                needed=needed,
            )
        )
    return claims


def _over_confident(
    models: Sequence[str], loss: str, _: str
) -> tuple[str, list[Hypothesis], int]:
    parts: list[tuple[str, str, str, float]] = [
        ("value", "confidence_gap", "above", 0.0),
        ("rise", "nll", "above", 0.0),
        ("rise", "error_rate", "below", MARGIN),
    ]
    hypotheses = [
        Hypothesis(
            model=model,
            contrast=contrast,
            metric=metric,
            loss=loss,
            side=side,
            bound=bound,
        )
        for model in models
        for contrast, metric, side, bound in parts
    ]
    statement = (
        "Cross-entropy ends over-confident, and over-fits the NLL: test NLL turns up "
        "while test error does not."
    )
    return statement, hypotheses, len(hypotheses)


def _entropy_fails(
    models: Sequence[str], loss: str, plain: str
) -> tuple[str, list[Hypothesis], int]:
    hypotheses = [
        _less(model, "confidence_gap", loss, plain, side="above", bound=-MARGIN)
        for model in models
    ]
    hypotheses += [
        Hypothesis(
            model=model,
            contrast="fluctuation",
            metric="top_label_ece",
            loss=loss,
            side="above",
        )
        for model in models
        if model == _FLUCTUATING
    ]
    statement = "Entropy regularization does not mitigate over-confidence"
    # What no model of the study can show must not be read as confirmed.
    if _FLUCTUATING in models:
        statement += (
            "; on VGG16 its ECE changes more than twice as much from epoch to epoch as "
            "under other losses."
        )
    else:
        statement += " (what it says of VGG16 is left out: the study has none)."
    return statement, hypotheses, len(hypotheses)


def _norm_helps(
    models: Sequence[str], loss: str, plain: str
) -> tuple[str, list[Hypothesis], int]:
    hypotheses = [
        _less(model, "confidence_gap", loss, plain, side="above", bound=-MARGIN)
        if model == _EXCEPTION
        else _less(model, "confidence_gap", loss, plain, side="below")
        for model in models
    ]
    exception = ", except on ResNet18" if _EXCEPTION in models else ""
    left_out = "" if exception else " (its exception, ResNet18, is not in the study)"
    statement = f"The L1 norm lowers over-confidence{exception}{left_out}."
    return statement, hypotheses, len(hypotheses)


def _focal_is_lower(
    models: Sequence[str], loss: str, plain: str
) -> tuple[str, list[Hypothesis], int]:
    hypotheses = [
        _less(model, "top_label_ece", loss, plain, side="below") for model in models
    ]
    statement = (
        "Focal loss often has lower ECE than cross-entropy: on more than half of the "
        "models."
    )
    return statement, hypotheses, len(models) // 2 + 1


def _less(
    model: str, metric: str, loss: str, against: str, *, side: str, bound: float = 0.0
) -> Hypothesis:
    return Hypothesis(
        model=model,
        contrast="difference",
        metric=metric,
        loss=loss,
        against=against,
        side=side,
        bound=bound,
    )


def _names(spec: Mapping[str, Any], is_meant: Callable[[Loss], bool]) -> list[str]:
    return [loss["name"] for loss in spec["loss"] if is_meant(loss)]


def _is(loss: Loss, kind: str, **parameters: float) -> bool:
    # A parameter that is not written has its default, which is the study's.
    return loss["kind"] == kind and all(
        loss.get(name, value) == value for name, value in parameters.items()
    )

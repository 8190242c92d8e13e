"""Rows of a final table with numbers chosen by hand, and comparisons to match."""

from itertools import combinations

from calibench.lab.report.comparison import Comparison
from calibench.lab.report.ranking import learned, rankings
from calibench.lab.report.results import (
    ECE,
    ECE_SCALED,
    NLL,
    TEMPERATURE,
    LossEntry,
)
from calibench.lab.report.summary import (
    CONFIDENCE_GAP,
    ERROR_RATE,
    FLOOR_P95,
    OVERCONFIDENCE,
    P_CALIBRATED,
    P_SCALED,
    UNDERCONFIDENCE,
    Estimate,
    FinalRow,
)

LABELS = {"ce": "cross-entropy", "l1": "L1 norm (α = 0.05)", "focal": "focal (γ = 3)"}
KINDS = {"ce": "cross_entropy", "l1": "lp_norm", "focal": "focal"}


def row(model, loss, over=0.0, under=0.0, **more):
    """A finished row whose ECE is `over` + `under`, beyond chance unless told."""
    values = {
        ERROR_RATE: 0.1,
        NLL: 0.3,
        ECE: over + under,
        OVERCONFIDENCE: over,
        UNDERCONFIDENCE: under,
        CONFIDENCE_GAP: over - under,
        FLOOR_P95: 0.02,
        P_CALIBRATED: 0.001,
        TEMPERATURE: 1.5,
        ECE_SCALED: 0.015,
        P_SCALED: 0.5,
    } | more.pop("values", {})
    fields = {"is_final": True, "epoch": 15, "seeds": (0,), "notes": ()} | more
    return FinalRow(
        model=model,
        loss=LossEntry(
            name=loss,
            kind=KINDS.get(loss, "brier"),
            parameters={},
            target_confidence=1.0,
        ),
        estimates={q: Estimate(v, v, v, 1) for q, v in values.items() if v is not None},
        absences={},
        **fields,
    )


def comparison(model, first, second, *, apart, quantity=ECE):
    return Comparison(
        quantity=quantity,
        model=model,
        first=first,
        second=second,
        difference=0.01,
        standard_error=0.001,
        p_value=0.001 if apart else 0.5,
        seeds=(0,),
        signs_agree=True,
    )


def ranked(rows, told_apart, quantity=ECE):
    """Rankings in which the pairs (model, loss, loss) of `told_apart` differ."""
    models = {row.model for row in rows}
    pairs = [
        comparison(m, a, b, apart=(m, a, b) in told_apart, quantity=quantity)
        for m in models
        for a, b in combinations(dict.fromkeys(row.loss.name for row in rows), 2)
    ]
    return rankings(learned(rows, 10), pairs, quantity)


def all_apart(models):
    return {
        (m, a, b)
        for m in models
        for a, b in (("ce", "l1"), ("ce", "focal"), ("l1", "focal"))
    }

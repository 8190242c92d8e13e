"""Judged claims in words: what the page says of them first, and each hypothesis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibench.lab.report.wording import counted, decimal, listing, p_number

# As `calibench claims --json` prints it.
Judged = Mapping[str, Any]
Labels = Mapping[str, str]

_MARKS = {"confirmed": "✓", "refuted": "✗", "undecided": "?", "not applicable": "–"}


@dataclass(frozen=True)
class Unit:
    """How a metric is called and written: its name, scale, digits and unit."""

    name: str
    scale: float
    digits: int
    sign: str

    def number(self, value: float) -> str:
        """Spell a value, without its unit."""
        return decimal(self.scale * value, self.digits)


_UNITS = {
    "confidence_gap": Unit("confidence − accuracy", 100, 2, "%"),
    "top_label_ece": Unit("ECE", 100, 2, "%"),
    "error_rate": Unit("error", 100, 2, "%"),
    "true_calibration_error": Unit("true error", 100, 2, "%"),
    "nll": Unit("NLL", 1, 3, "nats"),
    "brier": Unit("Brier score", 1, 4, ""),
    "debiased_l2": Unit("debiased squared error", 1e4, 2, "%²"),
}


@dataclass(frozen=True, kw_only=True)
class HypothesisLine:
    """A row of the table of hypotheses; every field is text for a reader."""

    model: str
    text: str
    estimate: str
    over_examples: str
    over_seeds: str
    p_value: str
    verdict: str
    mark: str
    note: str


@dataclass(frozen=True, kw_only=True)
class ClaimLine:
    """A claim with its verdict, and its hypotheses."""

    name: str
    statement: str
    verdict: str
    mark: str
    note: str
    hypotheses: Sequence[HypothesisLine]


@dataclass(frozen=True, kw_only=True)
class ClaimLines:
    """All claims, and how they are to be read."""

    scope: str
    method: str
    claims: Sequence[ClaimLine]


def claim_lines(judged: Judged, labels: Labels) -> ClaimLines:
    """Put judged claims into words.

    Args:
        judged: What `calibench claims --json` prints.
        labels: The name of each loss.
    """
    return ClaimLines(
        scope=_scope(judged["num_seeds"]),
        method=_method(judged),
        claims=[_claim(claim, labels, judged["factor"]) for claim in judged["claims"]],
    )


def _scope(num_seeds: int) -> str:
    if num_seeds > 1:
        return (
            f"With {num_seeds} seeds: verdicts allow for other test examples and for "
            "other training runs."
        )
    return (
        "With one seed: verdicts allow for other test examples, and are about these "
        "networks, not about other training runs."
    )


def _method(judged: Judged) -> str:
    return (
        f"Paired over test examples. Intervals are at {100 * judged['level']:g}%: for "
        "other test examples with these networks, and for other seeds. p "
        f"is for both, adjusted by Holm over {counted(judged['num_tested'], 'number')} "
        f"tested; {100 * judged['margin']:g} point counts as no change. Last: for what "
        "is undecided the size of a study in which this very estimate would decide, "
        "and the numbers behind it."
    )


def _claim(claim: Judged, labels: Labels, factor: float) -> ClaimLine:
    return ClaimLine(
        name=claim["name"],
        statement=claim["statement"],
        verdict=claim["verdict"],
        mark=_MARKS[claim["verdict"]],
        note=_claim_note(claim),
        hypotheses=[_hypothesis(each, labels, factor) for each in claim["hypotheses"]],
    )


def _claim_note(claim: Judged) -> str:
    if claim["obstacle"]:
        return claim["obstacle"]
    theorem = claim["theorem"]
    if theorem is not None:
        return (
            f"{counted(theorem['num_violations'], 'violation')} among "
            f"{theorem['num_examples']:,} stored predictions"
        )
    found = [each["verdict"] for each in claim["hypotheses"]]
    counts = [
        f"{found.count(verdict)} {verdict}" for verdict in _MARKS if verdict in found
    ]
    needed = claim["needed"]
    wanted = "all" if needed == len(found) else f"at least {needed}"
    return f"{listing(counts)} of {len(found)}; {wanted} must hold"


def _hypothesis(each: Judged, labels: Labels, factor: float) -> HypothesisLine:
    unit = _UNITS[each["metric"]]
    return HypothesisLine(
        model=each["model"],
        text=_text(each, unit, labels, factor),
        estimate=unit.number(each["estimate"]) if "estimate" in each else "–",
        over_examples=_interval(each.get("over_examples"), unit),
        over_seeds=_interval(each.get("over_seeds"), unit),
        p_value="–" if each["p_adjusted"] is None else p_number(each["p_adjusted"]),
        verdict=each["verdict"],
        mark=_MARKS[each["verdict"]],
        note=each["missing"] or "; ".join([*_size(each), *_facts(each, unit, labels)]),
    )


def _text(each: Judged, unit: Unit, labels: Labels, factor: float) -> str:
    loss = labels[each["loss"]]
    after = "" if each["calibrator"] == "none" else f" after {each['calibrator']}"
    name = f"{unit.name}{after} ({unit.sign})" if unit.sign else f"{unit.name}{after}"
    what = {
        "value": f"{name}: {loss}",
        "difference": f"{name}: {loss} − {labels.get(each['against'])}",
        "rise": f"{name}: {loss}, last − best epoch",
        "fluctuation": f"change of {name}: {loss} − {factor:g} × median of others",
    }[each["contrast"]]
    sign = ">" if each["side"] == "above" else "<"
    bound = unit.number(each["bound"]) if each["bound"] else "0"
    return f"{what} {sign}\u00a0{bound}"


def _interval(ends: Sequence[float] | None, unit: Unit) -> str:
    return "–" if ends is None else f"{unit.number(ends[0])} to {unit.number(ends[1])}"


def _facts(each: Judged, unit: Unit, labels: Labels) -> list[str]:
    found = dict(each.get("facts", {}))
    told = []
    if "temperature" in found:
        told.append(f"T = {decimal(found.pop('temperature'), 2)}")
    if "best epoch" in found:
        told.append(f"best epoch {found.pop('best epoch'):g}")
    numbers = [
        f"{labels.get(name, name)} {unit.number(v)}" for name, v in found.items()
    ]
    return told + numbers


def _size(each: Judged) -> list[str]:
    sizes = [
        listing(
            [
                counted(size[key], noun)
                for key, noun in (("num_examples", "example"), ("num_seeds", "seed"))
                if size[key] is not None
            ]
        )
        for size in each["would_decide"]
    ]
    return [f"would decide: {' or '.join(sizes)}"] if sizes else []

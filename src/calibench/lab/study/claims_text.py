"""A judgement as lines for a terminal."""

from collections.abc import Iterator
from typing import Any

from calibench.lab.study.deciding import Size
from calibench.lab.study.judged_claims import (
    LEVEL,
    JudgedClaim,
    JudgedHypothesis,
    Judgement,
)
from calibench.lab.text_table import text_table
from calibench.metrics.intervals import Interval


def claims_text(judgement: Judgement) -> str:
    """Return the claims with their verdicts, then every hypothesis with its numbers."""
    claims = text_table([_claim_row(claim) for claim in judgement.claims])
    rows = [
        _hypothesis_row(claim, each)
        for claim in judgement.claims
        for each in claim.hypotheses
    ]
    parts = [claims, _scope(judgement)]
    if rows:
        parts.append(text_table(rows))
    notes = list(_notes(judgement))
    return "\n\n".join([*parts, "\n".join(notes)] if notes else parts)


def told_sizes(sizes: tuple[Size, ...]) -> str:
    """Say what sizes of a study would decide.

    Example:
        >>> told_sizes((Size(num_examples=40000), Size(num_seeds=5)))
        '40,000 examples or 5 seeds'
        >>> told_sizes((Size(num_examples=40000, num_seeds=5),))
        '40,000 examples and 5 seeds'
    """
    return " or ".join(
        " and ".join(
            f"{number:,} {noun}"
            for number, noun in (
                (size.num_examples, "examples"),
                (size.num_seeds, "seeds"),
            )
            if number is not None
        )
        for size in sizes
    )


def _claim_row(claim: JudgedClaim) -> dict[str, Any]:
    return {
        "verdict": claim.verdict,
        "claim": claim.claim.name,
        "confirmed": _confirmed(claim),
        "statement": claim.claim.statement,
    }


def _confirmed(claim: JudgedClaim) -> str | None:
    """How many of its hypotheses, or of the checks of a theorem."""
    if claim.theorem is not None:
        checks = claim.theorem.num_checks
        return f"{checks - claim.theorem.num_violations:,} of {checks:,}"
    if not claim.hypotheses:
        return None
    confirmed = sum(each.verdict == "confirmed" for each in claim.hypotheses)
    return f"{confirmed} of {len(claim.hypotheses)}"


def _hypothesis_row(claim: JudgedClaim, each: JudgedHypothesis) -> dict[str, Any]:
    found = each.found
    return {
        "claim": claim.claim.name,
        "model": each.hypothesis.model,
        "hypothesis": each.hypothesis.text,
        "estimate": None if found is None else found.estimate.value,
        "over examples": found and _interval(found.estimate.over_examples(LEVEL)),
        "over seeds": found and _interval(found.estimate.over_seeds(LEVEL)),
        "seeds": found and len(found.seeds),
        "p": _p_value(each.p_adjusted),
        "verdict": each.verdict,
        "would decide": told_sizes(each.would_decide) or None,
    }


def _interval(ends: Interval | None) -> str | None:
    return None if ends is None else f"{ends[0]:z.4f} to {ends[1]:z.4f}"


def _p_value(p_value: float | None) -> str | None:
    if p_value is None:
        return None
    return f"{p_value:.2g}" if p_value >= 1e-4 else "< 1e-4"


def _scope(judgement: Judgement) -> str:
    about = (
        f"{judgement.num_seeds} seeds: verdicts are about other training runs, too."
        if judgement.num_seeds > 1
        else "One seed: verdicts are about these networks, not other training runs."
    )
    return (
        f"{about}\nIntervals: {LEVEL:.0%}, for other test examples and for other "
        "seeds, each by itself. "
        f"p: for both, by Holm over {judgement.num_tested} hypotheses."
    )


def _notes(judgement: Judgement) -> Iterator[str]:
    for claim in judgement.claims:
        if claim.claim.obstacle:
            yield f"{claim.claim.name}: not applicable: {claim.claim.obstacle}"
        for each in claim.hypotheses:
            where = f"{claim.claim.name}, {each.hypothesis.model}"
            if each.missing:
                yield f"{where}: {each.missing}"
            elif each.found is not None and "temperature" in each.found.facts:
                yield f"{where}: T {each.found.facts['temperature']:.2f}"
        theorem = claim.theorem
        if theorem is not None:
            yield (
                f"{claim.claim.name}: {theorem.num_examples:,} predictions of "
                f"{theorem.num_runs} runs; smallest margin {theorem.worst_margin:.2g} "
                f"of the larger side; {theorem.num_violations} violations"
            )

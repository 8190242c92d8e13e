"""Claims with their verdicts: what is printed, and handed to the report."""

from dataclasses import dataclass
from typing import Any

from calibench.lab.study.claim import FACTOR, MARGIN, Claim, Hypothesis, verdict_of
from calibench.lab.study.claim_contrasts import Found
from calibench.lab.study.deciding import Size
from calibench.lab.study.theorem_claims import TheoremCheck

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class JudgedHypothesis:
    """A hypothesis, and what the store says about it.

    Attributes:
        found: None where the store lacks what an estimate takes.
        missing: What it lacks for a verdict; empty where it lacks nothing.
        p_value: Two-sided, that the number is the bound; None without an estimate, or
            where nothing varies, so that there is nothing to test.
        p_adjusted: By Holm over all hypotheses of the store.
        would_decide: Sizes of the study that would decide at this estimate, each by
            itself; empty where it is decided, or none would.
    """

    hypothesis: Hypothesis
    found: Found | None
    missing: str = ""
    p_value: float | None = None
    p_adjusted: float | None = None
    would_decide: tuple[Size, ...] = ()

    @property
    def verdict(self) -> str:
        """Either "confirmed", "refuted" or "undecided"."""
        if self.found is None or self.missing:
            return "undecided"
        if self.p_adjusted is not None and self.p_adjusted > 1 - LEVEL:
            return "undecided"
        value, about = self.found.estimate.value, self.hypothesis
        is_so = value > about.bound if about.side == "above" else value < about.bound
        return "confirmed" if is_so else "refuted"

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        about, found = self.hypothesis, self.found
        values: dict[str, Any] = {
            "model": about.model,
            "contrast": about.contrast,
            "metric": about.metric,
            "calibrator": about.calibrator,
            "loss": about.loss,
            "against": about.against,
            "side": about.side,
            "bound": about.bound,
            "text": about.text,
            "verdict": self.verdict,
            "missing": self.missing,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "would_decide": [
                {"num_examples": size.num_examples, "num_seeds": size.num_seeds}
                for size in self.would_decide
            ],
        }
        return values | ({} if found is None else _numbers(found))


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """A claim with the verdict on it.

    Attributes:
        hypotheses: Those of the claim; none where it does not apply, or is a theorem.
        theorem: What was tried, where the claim is a theorem.
    """

    claim: Claim
    hypotheses: tuple[JudgedHypothesis, ...] = ()
    theorem: TheoremCheck | None = None

    @property
    def verdict(self) -> str:
        """One of "confirmed", "refuted", "undecided" and "not applicable"."""
        if self.theorem is not None:
            return self.theorem.verdict
        if self.claim.obstacle:
            return "not applicable"
        return verdict_of([h.verdict for h in self.hypotheses], self.claim.needed)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "name": self.claim.name,
            "statement": self.claim.statement,
            "verdict": self.verdict,
            "obstacle": self.claim.obstacle,
            "needed": self.claim.needed,
            "hypotheses": [each.to_dict() for each in self.hypotheses],
            "theorem": None if self.theorem is None else self.theorem.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All claims of a store, judged together.

    Attributes:
        num_tested: Over how many hypotheses the p-values are adjusted.
        num_seeds: How many seeds the study asks for. With one, verdicts are about its
            networks; with more, about other training runs as well.
    """

    study: str
    claims: tuple[JudgedClaim, ...]
    num_tested: int
    num_seeds: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "study": self.study,
            "level": LEVEL,
            "margin": MARGIN,
            "factor": FACTOR,
            "num_tested": self.num_tested,
            "num_seeds": self.num_seeds,
            "claims": [claim.to_dict() for claim in self.claims],
        }


def _numbers(found: Found) -> dict[str, Any]:
    estimate = found.estimate
    over_seeds = estimate.over_seeds(LEVEL)
    return {
        "estimate": estimate.value,
        "over_examples": list(estimate.over_examples(LEVEL)),
        "over_seeds": None if over_seeds is None else list(over_seeds),
        "by_seed": list(estimate.by_seed),
        "seeds": list(found.seeds),
        "num_examples": estimate.num_examples,
        "facts": dict(found.facts),
    }

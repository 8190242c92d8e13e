"""What is claimed: statements about single models, each of which a store can decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# An effect smaller than this, a point of percentage, counts as none where a claim is
# that nothing gets better or worse.
MARGIN = 0.01
# "Much more" is more than so many times as much.
FACTOR = 2


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A statement about one model: a number lies above, or below, a bound.

    Attributes:
        contrast: How the number comes about, a key of `CONTRASTS`: "value" of a loss,
            "difference" of `loss` less `against`, "rise" of the last epoch above the
            best one, "fluctuation" of `loss` against the other losses.
        metric: A key of the stored rows; of the test split.
        against: The other loss of a difference.
        side: "above" or "below" the bound.
    """

    model: str
    contrast: str
    metric: str
    loss: str
    against: str | None = None
    calibrator: str = "none"
    side: str
    bound: float = 0.0

    @property
    def text(self) -> str:
        """In symbols, as a table has room for it."""
        after = "" if self.calibrator == "none" else f" after {self.calibrator}"
        what = {
            "value": self.loss,
            "difference": f"{self.loss} - {self.against}",
            "rise": f"{self.loss}, last - best epoch",
            "fluctuation": f"change of {self.loss} - {FACTOR} x median of others",
        }[self.contrast]
        sign = ">" if self.side == "above" else "<"
        return f"{self.metric}{after}: {what} {sign} {self.bound:.2g}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim, as hypotheses of which enough must hold.

    Attributes:
        hypotheses: Empty where the claim does not apply, or is a theorem.
        needed: How many of them must hold.
        obstacle: Why the claim does not apply to this study; empty where it does.
    """

    name: str
    statement: str
    hypotheses: tuple[Hypothesis, ...] = ()
    needed: int = 0
    obstacle: str = ""


def verdict_of(verdicts: Sequence[str], needed: int) -> str:
    """Judge a claim by the verdicts on its hypotheses.

    It is confirmed when enough of them are, refuted when so many are refuted that not
    enough can hold, and undecided otherwise.

    Example:
        >>> verdict_of(["confirmed", "undecided", "confirmed"], 2)
        'confirmed'
        >>> verdict_of(["confirmed", "refuted", "undecided"], 3)
        'refuted'
    """
    if verdicts.count("confirmed") >= needed:
        return "confirmed"
    if verdicts.count("refuted") > len(verdicts) - needed:
        return "refuted"
    return "undecided"


def user_claims(spec: Mapping[str, Any]) -> list[Claim]:
    """Return the claims of a study file; each must hold on every model it names.

    Args:
        spec: The study as its store has it.
    """
    claims = []
    for entry in spec.get("claim", []):
        metric, lower, than = entry["metric"], entry["lower"], entry["than"]
        calibrator = entry.get("calibrator", "none")
        hypotheses = tuple(
            Hypothesis(
                model=model,
                contrast="difference",
                metric=metric,
                loss=lower,
                against=than,
                calibrator=calibrator,
                side="below",
            )
            for model in entry.get("models") or spec["models"]
        )
        after = "" if calibrator == "none" else " after temperature scaling"
        claims.append(
            Claim(
                name=entry["name"],
                statement=f"{lower} has lower {metric}{after} than {than}.",
                hypotheses=hypotheses,
                needed=len(hypotheses),
            )
        )
    return claims

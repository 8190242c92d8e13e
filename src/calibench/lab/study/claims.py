"""Judge the claims of a study on its store: what `calibench claims` does."""

from dataclasses import replace
from pathlib import Path

from calibench.lab.store import Store
from calibench.lab.study.claim import Claim, Hypothesis, user_claims
from calibench.lab.study.claim_contrasts import measured
from calibench.lab.study.claim_runs import AbsentError, ClaimRuns
from calibench.lab.study.deciding import deciding_sizes
from calibench.lab.study.judged_claims import (
    LEVEL,
    JudgedClaim,
    JudgedHypothesis,
    Judgement,
)
from calibench.lab.study.published_claims import published_claims
from calibench.lab.study.theorem_claims import theorem_checks
from calibench.metrics.paired import holm


def judge(store_path: Path) -> Judgement:
    """Judge C1 to C4, both theorems and the study file's claims on finished runs.

    Raises:
        ParameterError: `store_path` is not a store.
        DataError: Two runs that belong together have other test examples.
        IntegrityError: A stored file is not what was written.
    """
    store = Store.existing(store_path)
    runs = ClaimRuns.of(store)
    published, claimed = published_claims(runs.spec), user_claims(runs.spec)
    # Two claims may say the same of a model: it is one hypothesis, tested once.
    asked = dict.fromkeys(
        about for claim in (*published, *claimed) for about in claim.hypotheses
    )
    judged = {each.hypothesis: each for each in _tested(runs, list(asked))}
    theorems = [
        JudgedClaim(
            claim=Claim(name=check.name, statement=check.statement), theorem=check
        )
        for check in theorem_checks(runs)
    ]
    return Judgement(
        study=store.study()["name"],
        claims=(
            *(_judged(claim, judged) for claim in published),
            *theorems,
            *(_judged(claim, judged) for claim in claimed),
        ),
        num_tested=sum(each.p_value is not None for each in judged.values()),
        num_seeds=len(runs.spec["seeds"]),
    )


def _judged(claim: Claim, judged: dict[Hypothesis, JudgedHypothesis]) -> JudgedClaim:
    hypotheses = tuple(judged[about] for about in claim.hypotheses)
    return JudgedClaim(claim=claim, hypotheses=hypotheses)


def _tested(runs: ClaimRuns, asked: list[Hypothesis]) -> list[JudgedHypothesis]:
    """Test every hypothesis, and correct for their number."""
    raw = [_measured(runs, about) for about in asked]
    p_values = [each.p_value for each in raw if each.p_value is not None]
    adjusted = iter(holm(p_values))
    return [
        each
        if each.p_value is None
        else _with_size(replace(each, p_adjusted=next(adjusted)), len(p_values))
        for each in raw
    ]


def _measured(runs: ClaimRuns, about: Hypothesis) -> JudgedHypothesis:
    try:
        found = measured(runs, about)
    except AbsentError as error:
        return JudgedHypothesis(hypothesis=about, found=None, missing=str(error))
    if len(found.seeds) == 1 < len(runs.spec["seeds"]):
        msg = (
            f"only seed {found.seeds[0]} has finished, and one seed tells nothing of "
            "other training runs"
        )
        return JudgedHypothesis(hypothesis=about, found=found, missing=msg)
    # Where nothing varies the number is known, and there is nothing to test.
    is_tested = not found.estimate.is_exact
    p_value = found.estimate.p_value(about.bound) if is_tested else None
    return JudgedHypothesis(hypothesis=about, found=found, p_value=p_value)


def _with_size(each: JudgedHypothesis, num_tested: int) -> JudgedHypothesis:
    if each.found is None or each.verdict != "undecided":
        return each
    level = 1 - (1 - LEVEL) / num_tested
    sizes = deciding_sizes(each.found.estimate, each.hypothesis.bound, level)
    return replace(each, would_decide=sizes)

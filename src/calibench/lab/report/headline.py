"""The answer in one sentence, and no more than is known."""

from collections.abc import Mapping, Sequence

from calibench.lab.report.ranking import Ranking
from calibench.lab.report.results import ECE, ECE_SCALED, TRUE_ERROR
from calibench.lab.report.summary import FLOOR_P95
from calibench.lab.report.wording import (
    listing,
    model_label,
    model_list,
    percent,
    points,
    sentence,
)

Labels = Mapping[str, str]

# More losses than these are counted, and not named: it is a headline.
_MOST_NAMED = 4


def headline(by_ece: Sequence[Ranking], labels: Labels, *, num_models: int) -> str:
    """Say which loss is best calibrated, in one sentence."""
    if not by_ece:
        return (
            "Undecided: on no model have two losses finished and learned the task, so "
            "there is nothing to compare yet."
        )
    leaders = list(dict.fromkeys(ranking.best.loss.name for ranking in by_ece))
    unbeaten = _in_all(by_ece, labels, beaten=False)
    where = _where(by_ece, num_models)
    if len(unbeaten) == len(leaders) == 1:
        return sentence(f"{labels[leaders[0]]} is best calibrated {where}.")
    if len(unbeaten) > 1:
        return _no_winner(by_ece, unbeaten, labels, where)
    return f"No single loss is best calibrated: {_firsts(by_ece, labels)} come first."


def _no_winner(
    by_ece: Sequence[Ranking], unbeaten: Sequence[str], labels: Labels, where: str
) -> str:
    if all(ranking.against_best and ranking.is_tied_throughout for ranking in by_ece):
        return f"No loss is told apart from the best calibrated one {where}."
    names = _named([labels[name] for name in unbeaten], "losses")
    if len(by_ece) == 1:
        return f"No clear winner {where}: {names} are not told apart."
    told = f"No clear winner: {names} are nowhere clearly beaten"
    beaten = [labels[name] for name in _in_all(by_ece, labels, beaten=True)]
    if beaten:
        are = "is" if len(beaten) == 1 else "are"
        told += f"; {_named(beaten, 'others')} {are}, {where}"
    return f"{told}."


def _named(losses: Sequence[str], noun: str) -> str:
    return f"{len(losses)} {noun}" if len(losses) > _MOST_NAMED else listing(losses)


def _in_all(by_ece: Sequence[Ranking], labels: Labels, *, beaten: bool) -> list[str]:
    """Return the losses that are ranked on every model, and beaten on all or none."""
    sets = [
        {row.loss.name for row in ranking.rows if ranking.is_beaten(row) == beaten}
        for ranking in by_ece
    ]
    return [name for name in labels if all(name in names for names in sets)]


def _where(by_ece: Sequence[Ranking], num_models: int) -> str:
    if len(by_ece) == num_models > 1:
        return f"on {'both' if num_models == 2 else f'all {num_models}'} models"
    return f"on {model_list([ranking.model for ranking in by_ece])}"


def _firsts(rankings: Sequence[Ranking], labels: Labels) -> str:
    """Name the first loss of every ranking with the models where it comes first."""
    leads: dict[str, list[str]] = {}
    for ranking in rankings:
        leads.setdefault(ranking.best.loss.name, []).append(ranking.model)
    return listing(
        [f"{labels[loss]} on {model_list(on)}" for loss, on in leads.items()]
    )


def ledes(ranked: Mapping[str, Sequence[Ranking]], labels: Labels) -> tuple[str, ...]:
    """Say what must stand beside the headline: other yardsticks, other answers."""
    by_ece, by_truth = ranked[ECE.key], ranked[TRUE_ERROR.key]
    told = []
    if by_ece and by_truth:
        told.append(_truth(by_ece, by_truth, labels))
    scaled = ranked[ECE_SCALED.key]
    if scaled and all(ranking.is_tied_throughout for ranking in scaled):
        told.append(
            "After temperature scaling no loss is told apart from the best on any "
            "model."
        )
    return tuple(told)


def margins(by_ece: Sequence[Ranking], labels: Labels) -> tuple[str, ...]:
    """Say by how much the lowest test ECE is lower, beside what chance explains."""
    if not by_ece:
        return ()
    told = []
    for ranking in by_ece:
        best, second = ranking.rows[:2]
        floor = best.mean(FLOOR_P95)
        lead = ranking.value(second) - ranking.value(best)
        told.append(
            f"{model_label(ranking.model)} {percent(ranking.value(best))} for "
            f"{labels[best.loss.name]}"
            + ("" if floor is None else f" (noise floor {percent(floor)})")
            + f", {points(lead)} below {labels[second.loss.name]}"
            + ("" if ranking.is_beaten(second) else ", not told apart")
        )
    return (f"Lowest test ECE: {'; '.join(told)}.",)


def _truth(
    by_ece: Sequence[Ranking], by_truth: Sequence[Ranking], labels: Labels
) -> str:
    start = "The true calibration error, which is known for these images,"
    firsts = [
        [ranking.best.loss.name for ranking in rankings]
        for rankings in (by_ece, by_truth)
    ]
    if firsts[0] == firsts[1]:
        return f"{start} agrees on who comes first."
    lowest = f"lowest for {_firsts(by_truth, labels)}."
    leaders = {ranking.model: ranking.best for ranking in by_ece}
    if not any(r.model in leaders and r.is_beaten(leaders[r.model]) for r in by_truth):
        return (
            f"{start} puts other losses first, though not by more than noise: it is "
            f"{lowest}"
        )
    clearly = "clearly " if all(ranking.is_clear for ranking in by_truth) else ""
    return f"{start} disagrees: it is {clearly}{lowest}"

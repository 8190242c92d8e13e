"""The answer in words: which loss, by how much, on which model, and how sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calibench.lab.report.headline import headline, ledes, margins
from calibench.lab.report.ranking import Ranking, learned
from calibench.lab.report.results import (
    ECE,
    ECE_SCALED,
    TEMPERATURE,
    TRUE_ERROR,
    StudyResults,
)
from calibench.lab.report.summary import (
    CONFIDENCE_GAP,
    ERROR_RATE,
    FLOOR_P95,
    OVERCONFIDENCE,
    UNDERCONFIDENCE,
    FinalRow,
)
from calibench.lab.report.wording import (
    counted,
    decimal,
    interval,
    listing,
    model_label,
    model_list,
    percent,
    points,
    sentence,
)

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Finding:
    """One aspect of the answer.

    Attributes:
        title: Two or three words.
        sentences: What was found, in whole sentences.
    """

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """The answer: one line, what must stand beside it, and what stands behind it."""

    headline: str
    ledes: tuple[str, ...]
    findings: tuple[Finding, ...]


def verdict(
    results: StudyResults,
    rows: Sequence[FinalRow],
    ranked: Mapping[str, Sequence[Ranking]],
    labels: Labels,
) -> Verdict:
    """Put the results into words.

    Args:
        results: The study.
        rows: Its final table.
        ranked: By `Quantity.key`, the rankings of ECE, of ECE after temperature, and
            of the true error where it is known.
        labels: The name of each loss.
    """
    by_ece = ranked[ECE.key]
    num_classes = len(results.dataset["class_names"])
    competing = learned(rows, num_classes)
    unlearned = [row for row in rows if row.is_final and row not in competing]
    findings = [
        Finding("By how much", tuple(_margin(r, labels) for r in by_ece)),
        Finding("Which way", _directions(competing, labels)),
        Finding("Against chance", _against_chance(competing, labels)),
        Finding("After temperature", _after(competing, ranked[ECE_SCALED.key], labels)),
        Finding("Against the truth", _truth(by_ece, ranked[TRUE_ERROR.key], labels)),
        Finding("How sure", _sureness(results, rows)),
        Finding("Not learned", _unlearned(unlearned, labels)),
    ]
    return Verdict(
        headline=headline(by_ece, labels, num_models=len(results.models)),
        ledes=(*margins(by_ece, labels), *ledes(ranked, labels)),
        findings=tuple(finding for finding in findings if finding.sentences),
    )


def _margin(ranking: Ranking, labels: Labels) -> str:
    best = ranking.best
    told = (
        f"{model_label(ranking.model)}: {labels[best.loss.name]} has a test ECE of "
        f"{percent(ranking.value(best))}"
    )
    beaten = [row for row in ranking.rows[1:] if ranking.is_beaten(row)]
    if beaten:
        lowest = ranking.value(best)
        others = [
            f"{labels[row.loss.name]} by {points(ranking.value(row) - lowest)}"
            for row in beaten
        ]
        told += f". It beats {listing(others)}"
    if ranking.ties:
        ties = [
            f"{labels[row.loss.name]} ({percent(ranking.value(row))})"
            for row in ranking.ties
        ]
        told += f". Not told apart from it: {listing(ties)}"
    return f"{told}."


def direction(row: FinalRow) -> str:
    """Say in one word how a model errs: "over", "under", "mixed" or "chance".

    "over": at least two thirds of its ECE come from bins that are over-confident, and
    "under" likewise; "chance": a calibrated model may show as much.
    """
    over, under = row.mean(OVERCONFIDENCE), row.mean(UNDERCONFIDENCE)
    if over is None or under is None:
        return "none"
    if row.is_inside_noise:
        return "chance"
    if over >= 2 * under:
        return "over"
    return "under" if under >= 2 * over else "mixed"


_DIRECTIONS = {
    "over": "over-confident",
    "under": "under-confident",
    "mixed": "over-confident in some bins and under-confident in others",
    "chance": "not told apart from calibrated",
}


def _directions(rows: Sequence[FinalRow], labels: Labels) -> tuple[str, ...]:
    told = []
    for name, label in labels.items():
        parts = []
        for word, phrase in _DIRECTIONS.items():
            some = [r for r in rows if r.loss.name == name and direction(r) == word]
            gaps = [row.estimates[CONFIDENCE_GAP].mean for row in some]
            if not some:
                continue
            by = ""
            if word in {"over", "under"}:
                sizes = sorted(abs(gap) for gap in gaps)
                side = "above" if word == "over" else "below"
                size = interval(sizes[0], sizes[-1]).removesuffix("%")
                by = f" (confidence {side} accuracy by {size} points)"
            parts.append(f"{phrase} on {model_list([row.model for row in some])}{by}")
        if parts:
            told.append(sentence(f"{label} is {'; '.join(parts)}."))
    return tuple(told)


def _against_chance(rows: Sequence[FinalRow], labels: Labels) -> tuple[str, ...]:
    if not rows:
        return ()
    floors = sorted(row.estimates[FLOOR_P95].high for row in rows)
    first = (
        "A perfectly calibrated model, too, shows some ECE on a test set of this size; "
        "the noise floor, its 95th percentile, is at "
        f"{interval(floors[0], floors[-1])}."
    )
    inside = [row for row in rows if row.is_inside_noise]
    if not inside:
        return (first, "Every ECE here is larger than chance explains.")
    if len(inside) == len(rows):
        return (first, "No ECE here is larger than chance explains.")
    return (
        first,
        f"Chance explains the ECE of {_places(inside, labels)}, and of no other.",
    )


def _places(rows: Sequence[FinalRow], labels: Labels) -> str:
    """Name losses with the models that they are on."""
    models = {
        name: [row.model for row in rows if row.loss.name == name] for name in labels
    }
    return listing(
        [f"{labels[name]} on {model_list(on)}" for name, on in models.items() if on]
    )


def _after(
    rows: Sequence[FinalRow], ranked: Sequence[Ranking], labels: Labels
) -> tuple[str, ...]:
    scaled = [row for row in rows if ECE_SCALED in row.estimates]
    if not scaled:
        return ()
    values = sorted(row.estimates[ECE_SCALED].mean for row in scaled)
    found = sorted(row.estimates[TEMPERATURE].mean for row in scaled)
    ends = dict.fromkeys(decimal(value, 2) for value in (found[0], found[-1]))
    temperatures = " to ".join(ends)
    inside = sum(bool(row.is_inside_noise_scaled) for row in scaled)
    told = [
        f"One temperature per run, fitted on the calibration split ({temperatures}), "
        f"leaves a test ECE of {interval(values[0], values[-1])}; {inside} of "
        f"{len(scaled)} are then inside the noise floor.",
    ]
    clear = [ranking for ranking in ranked if ranking.is_clear]
    if clear:
        named = [f"{labels[r.best.loss.name]} on {model_label(r.model)}" for r in clear]
        told.append(f"Still clearly first: {listing(named)}.")
    elif ranked and all(ranking.is_tied_throughout for ranking in ranked):
        told.append("On no model is any loss then told apart from the best.")
    elif ranked:
        told.append("No loss is then clearly first on any model.")
    return tuple(told)


def _truth(
    by_ece: Sequence[Ranking], by_truth: Sequence[Ranking], labels: Labels
) -> tuple[str, ...]:
    told = []
    for estimate in by_ece:
        truth = next((r for r in by_truth if r.model == estimate.model), None)
        if truth is None:
            continue
        name, best, first = model_label(truth.model), truth.best, estimate.best
        orders = [[row.loss.name for row in r.rows] for r in (estimate, truth)]
        size = percent(truth.value(best))
        if best.loss.name != first.loss.name:
            sure = "" if truth.is_beaten(first) else ", though not by more than noise"
            told.append(
                f"{name}: ECE is lowest for {labels[first.loss.name]}, the true error "
                f"for {labels[best.loss.name]} ({size}, against "
                f"{percent(truth.value(first))}{sure})."
            )
        elif orders[0] == orders[1]:
            told.append(
                f"{name}: the true error ({size} for {labels[best.loss.name]}) ranks "
                "the losses as ECE does."
            )
        else:
            told.append(
                f"{name}: {labels[best.loss.name]} has also the lowest true error "
                f"({size}), but the losses behind it come in another order."
            )
    return tuple(told)


def _sureness(results: StudyResults, rows: Sequence[FinalRow]) -> tuple[str, ...]:
    counts = {len(row.seeds) for row in rows if row.is_final}
    if not counts:
        return ()
    tested = counted(results.num_examples("test") or 0, "test example")
    noise = (
        f"“Told apart” allows for the noise of {tested}, paired and corrected for all "
        "pairs of losses on all models (Holm, 5%)"
    )
    if max(counts) == 1:
        return (
            f"{noise}.",
            "There is one seed: how much another one would change is unknown.",
        )
    seeds = counted(max(counts), "seed")
    fewer = "" if len(counts) == 1 else " at most"
    return (
        f"{noise}, and for the sign of the difference to be the same in every seed.",
        f"Numbers are means over{fewer} {seeds}.",
    )


def _unlearned(rows: Sequence[FinalRow], labels: Labels) -> tuple[str, ...]:
    if not rows:
        return ()
    errors = sorted(row.estimates[ERROR_RATE].mean for row in rows)
    return (
        f"Not ranked: {_places(rows, labels)}. With an error of "
        f"{interval(errors[0], errors[-1])} they do little better than guessing, and "
        "answers that say nothing are calibrated all too easily.",
    )

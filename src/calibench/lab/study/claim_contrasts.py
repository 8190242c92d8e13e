"""From stored predictions to the number that a hypothesis is about."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from calibench.errors import DataError
from calibench.lab.study.claim import FACTOR, Hypothesis
from calibench.lab.study.claim_runs import AbsentError, ClaimRun, ClaimRuns, Vector
from calibench.metrics.fluctuation import Fluctuation, ece_fluctuation
from calibench.metrics.intervals import FEWEST_FOR_A_MEAN
from calibench.metrics.over_seeds import SeedEstimate, over_seeds

# Whose terms depend on who is right, which few examples may tell.
_OF_ANSWERS = {"confidence_gap", "error_rate"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the store says about a hypothesis.

    Attributes:
        seeds: Those that enter.
        facts: Numbers that stand behind the estimate, means over seeds, by name.
    """

    estimate: SeedEstimate
    seeds: tuple[int, ...]
    facts: Mapping[str, float]


def measured(runs: ClaimRuns, about: Hypothesis) -> Found:
    """Estimate the number of a hypothesis.

    Raises:
        AbsentError: The store lacks what it takes.
        DataError: Two runs have other test examples.
        IntegrityError: A stored file is not what was written.
    """
    return CONTRASTS[about.contrast](runs, about)


def _value(runs: ClaimRuns, about: Hypothesis) -> Found:
    seeds = runs.seeds(about.model, [about.loss])
    chosen = [runs.run(about.model, about.loss, seed) for seed in seeds]
    rows = [_terms(run, run.last_epoch, about) for run in chosen]
    return _found(about, seeds, rows, _temperature(chosen))


def _difference(runs: ClaimRuns, about: Hypothesis) -> Found:
    losses = [about.loss, about.against or ""]
    seeds = runs.seeds(about.model, losses)
    ours, theirs = (
        [runs.run(about.model, loss, seed) for seed in seeds] for loss in losses
    )
    _refuse_other_examples([*ours, *theirs])
    mine, other = (
        [_terms(run, run.last_epoch, about) for run in each] for each in (ours, theirs)
    )
    down, up = (
        fmean(run.terms(run.last_epoch, about.calibrator).ece_bias for run in each)
        for each in (ours, theirs)
    )
    is_ece = about.metric == "top_label_ece"
    return _found(
        about,
        seeds,
        [a - b for a, b in zip(mine, other, strict=True)],
        dict(zip(losses, map(_mean, (mine, other)), strict=True)),
        bias=(down, up) if is_ece else (0.0, 0.0),
    )


def _rise(runs: ClaimRuns, about: Hypothesis) -> Found:
    seeds = runs.seeds(about.model, [about.loss])
    chosen = [runs.run(about.model, about.loss, seed) for seed in seeds]
    best = [run.best_epoch() for run in chosen]
    last, first = (
        [_terms(run, at, about) for run, at in zip(chosen, epochs, strict=True)]
        for epochs in ([run.last_epoch for run in chosen], best)
    )
    rows = [a - b for a, b in zip(last, first, strict=True)]
    facts = {"best epoch": fmean(best), "best": _mean(first), "last": _mean(last)}
    moved = any(at != run.last_epoch for run, at in zip(chosen, best, strict=True))
    return _found(about, seeds, rows, facts, is_certain=not moved)


def _fluctuation(runs: ClaimRuns, about: Hypothesis) -> Found:
    """Root mean square change of a loss, less twice that of the median other loss.

    Squares are compared, which chance does not lift, and brought back to units of ECE:
    the difference of a^2 and b^2, divided by a + b, is that of a and b.
    """
    kinds = {loss["name"]: loss["kind"] for loss in runs.spec["loss"]}
    others = [name for name in kinds if kinds[name] != kinds[about.loss]]
    if not others:
        msg = f"the study has no loss of another kind than {about.loss}"
        raise AbsentError(msg)
    losses = [about.loss, *others]
    seeds = runs.seeds(about.model, losses)
    rows, bias, ours, theirs = [], [], [], []
    for seed in seeds:
        found = {loss: _changes(runs.run(about.model, loss, seed)) for loss in losses}
        mine = found.pop(about.loss)
        other = _median(list(found.values()))
        # Where nothing changes at all, any unit will do.
        unit = math.sqrt(mine.seen) + FACTOR * math.sqrt(other.seen) or 1.0
        squares = mine.mean_square - FACTOR**2 * other.mean_square
        influence = mine.influence - FACTOR**2 * other.influence
        rows.append((squares + influence) / unit)
        down = mine.down + FACTOR**2 * other.up
        up = mine.up + FACTOR**2 * other.down
        bias.append((down / unit, up / unit))
        ours.append(math.sqrt(max(mine.mean_square, 0.0)))
        theirs.append(math.sqrt(max(other.mean_square, 0.0)))
    facts = {about.loss: fmean(ours), "median of the others": fmean(theirs)}
    down, up = map(fmean, zip(*bias, strict=True))
    return _found(about, seeds, rows, facts, bias=(down, up))


def _changes(run: ClaimRun) -> Fluctuation:
    """The changes of the second half of training.

    Raises:
        AbsentError: An epoch was not kept, or there are too few.
    """
    epochs = range(max(run.last_epoch // 2, 1), run.last_epoch + 1)
    if len(epochs) < 3:
        msg = f"{run.folder.run_id} has too few epochs for changes between them"
        raise AbsentError(msg)
    missing = sum(epoch not in run.history.kept_predictions for epoch in epochs)
    if missing:
        msg = (
            f"changes from epoch to epoch need the predictions of epochs {epochs[0]} "
            f"to {epochs[-1]} of {run.folder.run_id}, of which {missing} were not kept"
        )
        raise AbsentError(msg)
    return ece_fluctuation(run.predictions(epoch) for epoch in epochs)


def _median(found: Sequence[Fluctuation]) -> Fluctuation:
    """The one in the middle, or the mean of the two."""
    ordered = sorted(found, key=lambda each: each.mean_square)
    middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    seen, mean_square, down, up = (
        fmean(getattr(each, name) for each in middle)
        for name in ("seen", "mean_square", "down", "up")
    )
    return Fluctuation(
        seen=seen,
        mean_square=mean_square,
        influence=np.mean([each.influence for each in middle], axis=0),
        down=down,
        up=up,
    )


def _refuse_other_examples(runs: Sequence[ClaimRun]) -> None:
    first, *rest = (run.terms(run.last_epoch).labels for run in runs)
    for run, labels in zip(runs[1:], rest, strict=True):
        if not np.array_equal(first, labels):
            msg = (
                f"{run.folder.path}: its test labels are not those of "
                f"{runs[0].folder.run_id}. Runs can be compared on the same examples "
                "only."
            )
            raise DataError(msg)


def _terms(run: ClaimRun, epoch: int, about: Hypothesis) -> Vector:
    terms = run.terms(epoch, about.calibrator)
    if about.metric not in terms.by_metric:
        msg = f"the study's data have no known posterior for {about.metric}"
        raise AbsentError(msg)
    return terms.by_metric[about.metric]


def _temperature(runs: Sequence[ClaimRun]) -> dict[str, float]:
    try:
        return {"temperature": fmean(run.temperature for run in runs)}
    except AbsentError:
        return {}


def _mean(rows: Sequence[Vector]) -> float:
    return fmean(float(row.mean()) for row in rows)


def _found(
    about: Hypothesis,
    seeds: tuple[int, ...],
    rows: Sequence[Vector],
    facts: Mapping[str, float],
    *,
    bias: tuple[float, float] = (0.0, 0.0),
    is_certain: bool = False,
) -> Found:
    terms = np.stack(rows)
    if terms.shape[1] < FEWEST_FOR_A_MEAN:
        msg = f"{terms.shape[1]} test examples are fewer than {FEWEST_FOR_A_MEAN}"
        raise AbsentError(msg)
    if not np.isfinite(terms).all():
        msg = f"{about.metric} is infinite: a label was given probability 0"
        raise AbsentError(msg)
    unseen = 1.0 if about.metric in _OF_ANSWERS and not is_certain else 0.0
    estimate = over_seeds(terms, down=bias[0], up=bias[1], unseen=unseen)
    return Found(estimate=estimate, seeds=seeds, facts=facts)


CONTRASTS: dict[str, Callable[[ClaimRuns, Hypothesis], Found]] = {
    "value": _value,
    "difference": _difference,
    "rise": _rise,
    "fluctuation": _fluctuation,
}

"""Several studies of the same test examples as one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from calibench.errors import ParameterError
from calibench.lab.report.results import LossEntry, RunResult, StudyResults

# What two recipes may differ in without being another recipe.
_TRAINING = ("width", "train", "splits")


def joined(studies: Sequence[StudyResults]) -> StudyResults:
    """Join the runs of studies of one data set; their losses stand side by side.

    A loss that several studies have is named after each of them ("first: focal"), and
    what else the studies differ in becomes a note.

    Raises:
        ParameterError: There are fewer than two, two have the same name, or they were
            tested on other examples.
    """
    _refuse(studies)
    names = Counter(loss.name for study in studies for loss in study.losses)
    renamed = [_renamed(study, names) for study in studies]
    first = renamed[0]
    train = dict(first.spec["train"])
    train["epochs"] = max(study.epochs for study in studies)
    spec = dict(first.spec) | {
        "train": train,
        "seeds": sorted({seed for study in studies for seed in study.seeds}),
    }
    return StudyResults(
        name=" + ".join(study.name for study in studies),
        spec=spec,
        toml="\n".join(f"# {study.name}\n{study.toml}" for study in studies),
        models=tuple(dict.fromkeys(m for study in renamed for m in study.models)),
        losses=tuple(loss for study in renamed for loss in study.losses),
        runs=tuple(run for study in renamed for run in study.runs),
        notes=_notes(studies),
    )


def _refuse(studies: Sequence[StudyResults]) -> None:
    names = [study.name for study in studies]
    if len(studies) < 2 or len(set(names)) < len(names):
        msg = (
            "two or more studies of different names are compared, got "
            f"{', '.join(names) or 'none'}."
        )
        raise ParameterError(msg)
    digests = {study.dataset["digest"] for study in studies}
    sizes = {study.num_examples("test") for study in studies}
    if len(digests) > 1 or len(sizes) > 1:
        msg = (
            f"{', '.join(names)}: their runs saw different data, so their numbers do "
            "not compare. Give stores of studies on one data set."
        )
        raise ParameterError(msg)


def _renamed(study: StudyResults, names: Mapping[str, int]) -> StudyResults:
    def name(loss: str) -> str:
        return f"{study.name}: {loss}" if names[loss] > 1 else loss

    def of_loss(loss: LossEntry) -> LossEntry:
        return replace(loss, name=name(loss.name))

    def of_run(run: RunResult) -> RunResult:
        return replace(run, loss=name(run.loss))

    return replace(
        study,
        losses=tuple(map(of_loss, study.losses)),
        runs=tuple(map(of_run, study.runs)),
    )


def _notes(studies: Sequence[StudyResults]) -> tuple[str, ...]:
    first, told = studies[0], []
    for other in studies[1:]:
        changes = [
            change
            for part in _TRAINING
            for change in _changes(part, first.spec.get(part), other.spec.get(part))
        ]
        if changes:
            told.append(
                f"{other.name} differs from {first.name} in more than losses, and its "
                f"losses compare accordingly: {'; '.join(changes)}. The method above "
                f"is that of {first.name}."
            )
    return tuple(told)


def _changes(name: str, one: Any, other: Any) -> list[str]:  # noqa: ANN401 - JSON
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*one, *other])
        return [c for key in keys for c in _changes(key, one.get(key), other.get(key))]
    return [] if one == other else [f"{name} {one} and {other}"]

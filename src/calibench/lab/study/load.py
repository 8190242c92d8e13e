"""Read a study from TOML, refusing anything it does not understand."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from itertools import filterfalse
from pathlib import Path
from typing import Any

from calibench.errors import ParameterError
from calibench.lab.data.sources import DATASETS
from calibench.lab.data.splits import SplitSizes
from calibench.lab.study.claim_spec import ClaimSpec
from calibench.lab.study.load_claims import claims
from calibench.lab.study.own_code import CodeReader, OwnCode, OwnDataset, is_own
from calibench.lab.study.spec import NamedLoss, StudySpec
from calibench.lab.study.table_reader import TableReader
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.schedule import Cosine, MultiStep, OneCycle
from calibench.losses import LOSSES
from calibench.models import MODELS

# Names become parts of file names, which have 255 bytes at most.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAME_RULE = (
    "is no name. Begin with a letter or digit; then only those, '.', '_' and '-', "
    "at most 100 in all."
)
_LARGEST_SEED = 2**63 - 1  # of TOML's whole numbers
_SCHEDULES: dict[str, type] = {
    "multi_step": MultiStep,
    "cosine": Cosine,
    "one_cycle": OneCycle,
}
_KEYS = {  # of the study file, with the form each must have
    "name": str,
    "dataset": str | dict[str, Any],
    "models": tuple[str, ...],
    "width": int,
    "seeds": tuple[int, ...],
    "keep": str | int,
    "splits": dict[str, Any],
    "train": dict[str, Any],
    "loss": tuple[dict[str, Any], ...],
    # Written by calibench: the hashes of models of the user's own.
    "model_sources": dict[str, str],
    "claim": tuple[dict[str, Any], ...],
}


class StudyFileError(ParameterError):
    """A study file is not a valid study; the message lists every problem."""


def load_study(path: Path, *, allow_code: bool = False) -> StudySpec:
    """Parse and check a study file.

    Args:
        path: Of the file.
        allow_code: Import what it names by `module:name`.

    Raises:
        StudyFileError: It is missing, not TOML, or not a study; all problems at once.
    """
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        msg = f"{path}: {error.strerror}. Give the path of a study file in TOML."
        raise StudyFileError(msg) from error
    except ValueError as error:
        msg = f"{path}: not a TOML file: {error}."
        raise StudyFileError(msg) from error
    return study_from_table(table, source=str(path), allow_code=allow_code)


def study_from_table(
    table: Mapping[str, Any], *, source: str, allow_code: bool = False
) -> StudySpec:
    """Check the content of a study file.

    Args:
        table: The content.
        source: What it is called in messages.
        allow_code: Import what it names by `module:name`.

    Raises:
        StudyFileError: It is not a study; the message lists every problem.
    """
    reader = TableReader()
    study = _study(reader, CodeReader(reader, is_allowed=allow_code), table)
    if reader.problems or study is None:
        lines = "\n".join(f"  {problem}" for problem in reader.problems)
        msg = f"{source} is not a valid study:\n{lines}"
        raise StudyFileError(msg)
    return study


def _study(
    reader: TableReader, code: CodeReader, table: Mapping[str, Any]
) -> StudySpec | None:
    reader.known("study", table, _KEYS)
    table = _with_lists(reader, table)
    parts: dict[str, Any] = {
        key: reader.checked(key, form, table[key])
        for key, form in _KEYS.items()
        if key in table
    }
    for key in ("name", "dataset", "models", "train", "loss"):
        if key not in parts:
            reader.add("study", f"missing {key!r}, and it has no default.")
    _check_values(reader, parts)
    content: dict[str, Any] = {
        key: parts[key]
        for key in ("name", "models", "seeds", "width", "keep")
        if key in parts
    }
    if parts.get("dataset") is not None:
        content["dataset"] = _dataset(reader, code, parts["dataset"])
    if parts.get("train") is not None:
        content["train"] = _recipe(reader, parts["train"])
    if parts.get("splits") is not None:
        content["splits"] = reader.built("[splits]", SplitSizes, parts["splits"])
    if parts.get("loss") is not None:
        content["losses"] = _losses(reader, code, parts["loss"])
    content["own_models"] = _own_models(code, parts)
    content["claims"] = _claims(reader, parts, content.get("losses", ()))
    return None if reader.problems else StudySpec(**content)


def _with_lists(reader: TableReader, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read one table as a list of one, and note that it was meant as a list."""
    alone = [key for key in ("loss", "claim") if isinstance(table.get(key), dict)]
    for key in alone:
        reader.add(f"[{key}]", f"write [[{key}]], with two brackets, for each {key}.")
    return {**table, **{key: [table[key]] for key in alone}}


def _check_values(reader: TableReader, parts: Mapping[str, Any]) -> None:
    name, keep, width = parts.get("name"), parts.get("keep"), parts.get("width")
    if name is not None and not _NAME.fullmatch(name):
        reader.add("name", f"{name!r} {_NAME_RULE}")
    if keep not in {None, "all", "last"} and not (isinstance(keep, int) and keep >= 1):
        reader.add("keep", f'{keep!r} is not "all", "last" or a number of epochs.')
    if width is not None and width < 1:
        reader.add("width", f"must be at least 1, got {width}.")
    for model in filterfalse(is_own, parts.get("models") or ()):
        reader.chosen("models", "model", MODELS, model)
    for seed in parts.get("seeds") or ():
        if not 0 <= seed <= _LARGEST_SEED:
            reader.add("seeds", f"{seed} is not in [0, 2**63).")
    for key in ("models", "seeds", "loss"):
        _check_list(reader, key, parts.get(key))


def _check_list(
    reader: TableReader, key: str, values: tuple[object, ...] | None
) -> None:
    if values is not None and not values:
        reader.add(key, "empty. Name at least one.")
    # Equal losses are told apart by their names, which are checked on their own.
    if values is not None and key != "loss" and len(set(values)) < len(values):
        reader.add(key, f"{list(values)} names one twice.")


def _own_models(code: CodeReader, parts: Mapping[str, Any]) -> dict[str, OwnCode]:
    sources = parts.get("model_sources") or {}
    found = {
        name: code.found("models", name, sources.get(name))
        for name in parts.get("models") or ()
        if is_own(name)
    }
    return {name: each for name, each in found.items() if each is not None}


def _dataset(reader: TableReader, code: CodeReader, value: str | dict[str, Any]) -> Any:  # noqa: ANN401 - a spec
    table = {"kind": value} if isinstance(value, str) else value
    if is_own(table.get("kind")):
        own = code.built("[dataset]", table["kind"], table)
        return None if own is None else OwnDataset(**vars(own))
    cls = reader.chosen("[dataset]", "data set", DATASETS, table.get("kind"))
    return reader.built("[dataset]", cls, table) if cls else None


def _recipe(reader: TableReader, table: dict[str, Any]) -> Recipe | None:
    schedule = table.get("schedule")
    if isinstance(schedule, str):
        schedule = {"kind": schedule}
    if isinstance(schedule, dict):
        where = "[train.schedule]"
        cls = reader.chosen(where, "schedule", _SCHEDULES, schedule.get("kind"))
        built = reader.built(where, cls, schedule) if cls else None
        table = {key: value for key, value in table.items() if key != "schedule"}
        if built is not None:
            table["schedule"] = built
    return reader.built("[train]", Recipe, table)


def _losses(
    reader: TableReader, code: CodeReader, entries: tuple[dict[str, Any], ...]
) -> tuple[NamedLoss, ...]:
    losses: list[NamedLoss] = []
    for entry in entries:
        named = _named_loss(reader, code, entry)
        if named is not None:
            losses.append(named)
            _check_loss_name(reader, losses)
    return tuple(losses)


def _named_loss(
    reader: TableReader, code: CodeReader, entry: dict[str, Any]
) -> NamedLoss | None:
    parameters = dict(entry)
    kind = parameters.pop("kind", None)
    name = reader.checked("[[loss]] name", str, parameters.pop("name", ""))
    where = f"[[loss]] {name or kind}"
    if is_own(kind):
        own = code.built(where, kind, parameters)
        if own is None:
            return None
        given = [f"{key}{_short(value)}" for key, value in own.parameters.items()]
        name = name or "-".join([kind.replace(":", "."), *given])
        return NamedLoss(name=name, loss=own.made, own=own)
    cls = reader.chosen("[[loss]]", "loss kind", LOSSES, kind)
    if cls is None:
        return None
    if parameters.get("p") == "inf":  # as plain() writes it
        parameters["p"] = float("inf")
    loss = reader.built(where, cls, parameters)
    if loss is None:
        return None
    return NamedLoss(name=name or _name(kind, loss), loss=loss)


def _claims(
    reader: TableReader, parts: Mapping[str, Any], losses: tuple[NamedLoss, ...]
) -> tuple[ClaimSpec, ...]:
    entries = parts.get("loss") or ()
    # What a refused loss would have been called is not known.
    names = [each.name for each in losses] if len(losses) == len(entries) else None
    claimed = parts.get("claim") or ()
    return claims(reader, claimed, losses=names, models=parts.get("models"))


def _name(kind: str, loss: Any) -> str:  # noqa: ANN401 - a dataclass
    """Return the kind and every parameter that is not at its default."""
    parts = [kind]
    for each in fields(loss):
        value = getattr(loss, each.name)
        if value != each.default:
            parts.append(f"{each.name}{_short(value)}")
    return "-".join(parts)


def _short(value: object) -> str:
    # 1e+06 is written 1e06: a plus sign has no place in a file name.
    if isinstance(value, tuple):
        return "_".join(_short(each) for each in value)
    text = format(value, "g") if isinstance(value, float) else str(value)
    return text.replace("+", "")


def _check_loss_name(reader: TableReader, losses: list[NamedLoss]) -> None:
    name = losses[-1].name
    if not _NAME.fullmatch(name):
        reader.add("[[loss]]", f"{name!r} {_NAME_RULE}")
    elif name in {each.name for each in losses[:-1]}:
        reader.add(f"[[loss]] {name}", "twice. Give each a `name` of its own.")

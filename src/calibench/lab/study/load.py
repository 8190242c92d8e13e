"""Read a study from TOML, refusing anything it does not understand."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from calibench.errors import ParameterError
from calibench.lab.data.sources import DATASETS
from calibench.lab.data.splits import SplitSizes
from calibench.lab.study.spec import NamedLoss, StudySpec
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.schedule import Cosine, MultiStep, OneCycle
from calibench.losses import LOSSES
from calibench.models import MODELS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
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
}


class StudyFileError(ParameterError):
    """A study file is not a valid study; the message lists every problem."""


def load_study(path: Path) -> StudySpec:
    """Parse and check a study file.

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
    return study_from_table(table, source=str(path))


def study_from_table(table: Mapping[str, Any], *, source: str) -> StudySpec:
    """Check the content of a study file.

    Raises:
        StudyFileError: It is not a study; the message lists every problem.
    """
    reader = _Reader()
    study = _study(reader, table)
    if reader.problems or study is None:
        lines = "\n".join(f"  {problem}" for problem in reader.problems)
        msg = f"{source} is not a valid study:\n{lines}"
        raise StudyFileError(msg)
    return study


@dataclass(frozen=True)
class _Reader:
    """Builds values from tables and collects what is wrong with them."""

    problems: list[str] = field(default_factory=list)

    def add(self, where: str, problem: str) -> None:
        self.problems.append(f"{where}: {problem}")

    def known(self, where: str, table: Mapping[str, Any], keys: Iterable[str]) -> None:
        choices = list(keys)
        for key in table:
            if key not in choices:
                self.add(where, f"unknown key {key!r}. {_suggestion(key, choices)}")

    def checked(self, where: str, form: Any, value: Any) -> Any:  # noqa: ANN401 - of `form`
        """Return `value` as a `form`, or None and note what is wrong."""
        try:
            return TypeAdapter(form).validate_python(_tuples(value), strict=True)
        except ValidationError as error:
            for each in error.errors():
                keys = [part for part in each["loc"] if isinstance(part, (str, int))]
                place = ".".join([where, *map(str, keys)])
                message = each["msg"].removeprefix("Value error, ")
                if each["type"] == "missing":
                    message = "missing, and it has no default."
                self.add(place, message)
            return None

    def built(self, where: str, cls: type, table: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a cls
        """Return the dataclass `cls` made from a table."""
        self.known(where, table, [f.name for f in fields(cls)])
        return self.checked(where, cls, dict(table))

    def chosen(
        self,
        where: str,
        what: str,
        menu: Mapping[str, Callable[..., Any]],
        kind: object,
    ) -> Any:  # noqa: ANN401 - a value of the menu
        """Return the entry of a menu, or None and note what is on it."""
        if isinstance(kind, str) and kind in menu:
            return menu[kind]
        if kind is None:
            self.add(where, f"missing kind. Choose from {', '.join(menu)}.")
        else:
            self.add(where, f"unknown {what} {kind!r}. {_suggestion(str(kind), menu)}")
        return None


def _study(reader: _Reader, table: Mapping[str, Any]) -> StudySpec | None:
    reader.known("study", table, _KEYS)
    parts: dict[str, Any] = {
        key: reader.checked(key, form, table[key])
        for key, form in _KEYS.items()
        if key in table
    }
    for key in ("name", "dataset", "models", "train", "loss"):
        if key not in parts:
            reader.add("study", f"missing {key!r}, and it has no default.")
    _check_names(reader, parts)
    content: dict[str, Any] = {
        key: parts[key]
        for key in ("name", "models", "seeds", "width", "keep")
        if key in parts
    }
    if parts.get("dataset") is not None:
        content["dataset"] = _dataset(reader, parts["dataset"])
    if parts.get("train") is not None:
        content["train"] = _recipe(reader, parts["train"])
    if parts.get("splits") is not None:
        content["splits"] = reader.built("[splits]", SplitSizes, parts["splits"])
    if parts.get("loss") is not None:
        content["losses"] = _losses(reader, parts["loss"])
    return None if reader.problems else StudySpec(**content)


def _check_names(reader: _Reader, parts: Mapping[str, Any]) -> None:
    name, keep = parts.get("name"), parts.get("keep", "all")
    if name is not None and not _NAME.fullmatch(name):
        reader.add("name", f"{name!r} may have letters, digits, '.', '_' and '-' only.")
    if isinstance(keep, str) and keep not in {"all", "last"}:
        reader.add("keep", f"{keep!r} is not \"all\", \"last\" or a number of epochs.")
    if isinstance(keep, int) and keep < 1:
        reader.add("keep", f"every {keep} epochs; it must be at least 1.")
    if (parts.get("width") or 1) < 1:
        reader.add("width", f"must be at least 1, got {parts['width']}.")
    for key in ("models", "seeds", "loss"):
        values = parts.get(key)
        if values is not None and not values:
            reader.add(key, "empty. Name at least one.")
        if values is not None and key != "loss" and len(set(values)) < len(values):
            reader.add(key, f"{list(values)} names one twice.")
    for model in parts.get("models") or ():
        reader.chosen("models", "model", MODELS, model)
    for seed in parts.get("seeds") or ():
        if seed < 0:
            reader.add("seeds", f"{seed} is negative.")


def _dataset(reader: _Reader, value: str | dict[str, Any]) -> Any:  # noqa: ANN401 - a spec
    table = {"kind": value} if isinstance(value, str) else value
    cls = reader.chosen("[dataset]", "data set", DATASETS, table.get("kind"))
    return reader.built("[dataset]", cls, table) if cls else None


def _recipe(reader: _Reader, table: dict[str, Any]) -> Recipe | None:
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
    reader: _Reader, entries: tuple[dict[str, Any], ...]
) -> tuple[NamedLoss, ...]:
    losses = []
    for entry in entries:
        parameters = dict(entry)
        cls = reader.chosen("[[loss]]", "loss kind", LOSSES, parameters.pop("kind", None))
        if cls is None:
            continue
        given_name = parameters.pop("name", None)
        where = f"[[loss]] {given_name or entry['kind']}"
        if parameters.get("p") == "inf":  # as plain() writes it
            parameters["p"] = float("inf")
        loss = reader.built(where, cls, parameters)
        if loss is not None:
            losses.append(NamedLoss(name=given_name or _name(entry["kind"], loss), loss=loss))
            _check_loss_name(reader, losses)
    return tuple(losses)


def _name(kind: str, loss: Any) -> str:  # noqa: ANN401 - a dataclass
    """Return the kind and every parameter that is not at its default."""
    parts = [kind]
    for each in fields(loss):
        value = getattr(loss, each.name)
        if value != each.default:
            parts.append(f"{each.name}{_short(value)}")
    return "-".join(parts)


def _short(value: object) -> str:
    return format(value, "g") if isinstance(value, float) else str(value)


def _check_loss_name(reader: _Reader, losses: list[NamedLoss]) -> None:
    name = losses[-1].name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        where = f"[[loss]] {name!r}"
        reader.add(where, "a name has letters, digits, '.', '_' and '-' only.")
    elif name in {each.name for each in losses[:-1]}:
        reader.add(f"[[loss]] {name}", "twice. Give each a `name` of its own.")


def _suggestion(word: str, choices: Iterable[str]) -> str:
    options = list(choices)
    close = get_close_matches(word, options, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Choose from {', '.join(options)}."


def _tuples(value: Any) -> Any:  # noqa: ANN401 - TOML arrays to tuples
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value



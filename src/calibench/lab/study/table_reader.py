"""Build checked values from TOML tables, collecting every problem on the way."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import reduce
from operator import getitem
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from calibench.errors import ParameterError
from calibench.validation import suggestion

# What a value should have been, in TOML's words, by pydantic's name of the error.
_FORMS = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a table",
    "dataclass_exact_type": "a kind or a table",
}


@dataclass(frozen=True)
class TableReader:
    """Builds values from tables and collects what is wrong with them."""

    problems: list[str] = field(default_factory=list)

    def add(self, where: str, problem: str) -> None:
        """Note a problem and go on."""
        self.problems.append(f"{where}: {problem}")

    def known(self, where: str, table: Mapping[str, Any], keys: Iterable[str]) -> None:
        """Note every key of a table that is not one of `keys`."""
        choices = list(keys)
        for key in table:
            if key not in choices:
                self.add(where, f"unknown key {key!r}. {suggestion(key, choices)}")

    def checked(self, where: str, form: Any, value: Any) -> Any:  # noqa: ANN401 - of `form`
        """Return `value` as a `form`, or None and note what is wrong."""
        try:
            return TypeAdapter(form).validate_python(_tuples(value), strict=True)
        except ValidationError as error:
            wanted: dict[tuple[int, ...], list[str]] = {}
            for each in error.errors():
                place = tuple(part for part in each["loc"] if isinstance(part, int))
                wanted.setdefault(place, []).append(_form(each))
            for place, forms in wanted.items():
                entry = "".join(f"[{index}]" for index in place)
                given = reduce(getitem, place, value)
                told = " or ".join(dict.fromkeys(forms))
                self.add(where + entry, f"must be {told}, got {given!r}.")
            return None

    def built(self, where: str, cls: type, table: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a cls
        """Return the dataclass `cls` made from a table, or None and note why not."""
        before = len(self.problems)
        forms = get_type_hints(cls)
        known = {each.name: each for each in fields(cls)}
        self.known(where, table, known)
        values = {
            key: self.checked(f"{where} {key}", forms[key], value)
            for key, value in table.items()
            if key in known
        }
        for name, each in known.items():
            has_default = (
                MISSING is not each.default or MISSING is not each.default_factory
            )
            if name not in table and not has_default:
                self.add(where, f"missing {name!r}, and it has no default.")
        if len(self.problems) > before:
            return None
        try:
            return cls(**values)
        except ParameterError as error:
            self.add(where, str(error))
            return None

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
            self.add(where, f"unknown {what} {kind!r}. {suggestion(str(kind), menu)}")
        return None


def _form(error: ErrorDetails) -> str:
    expected = error.get("ctx", {}).get("expected")
    return _FORMS.get(error["type"]) or str(expected or error["msg"])


def _tuples(value: Any) -> Any:  # noqa: ANN401 - TOML arrays to tuples
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value

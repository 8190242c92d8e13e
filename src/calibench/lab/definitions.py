"""What every library says of one set of predictions, and why they say different."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from calibench.errors import ParameterError
from calibench.lab.data.prediction_stream import Chunk, joined, stream_predictions
from calibench.metrics.definitions import Definition
from calibench.metrics.presets import (
    OURS,
    PRESETS,
    NoNumberError,
    Preset,
    our_definition,
)
from calibench.predictions import Predictions

# Half a gigabyte of float64, of which several copies are made.
_MOST_NUMBERS = 2**26
_WIDTH = 100
# What a line on a definition tells where it is not ours; the rest is in the JSON.
_TOLD = {
    "quantity",
    "probability",
    "num_bins",
    "scheme",
    "closed",
    "extra_bin",
    "dropped",
    "reduction",
    "norm",
    "sums",
}
# A number equal to ours within this is called equal.
_EQUAL = 1e-12


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one preset says.

    Attributes:
        preset: Who says it.
        definition: What the number is.
        base: What ours is.
        value: The number; None where the library gives none.
        reason: Why there is none.
        ours: The number of ours to compare with, a key of `OURS`.
        difference: Theirs minus ours; None where either is missing or infinite.
        touched: How many examples make the difference, where that can be told.
    """

    preset: Preset
    definition: Definition
    base: Definition
    value: float | None
    reason: str | None
    ours: str
    difference: float | None
    touched: int | None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "value": _finite(self.value),
            "reason": self.reason,
            "ours": self.ours,
            "difference": self.difference,
            "library": self.preset.library,
            "versions": self.preset.versions,
            "checked": self.preset.checked,
            "call": self.preset.call,
            "differs": self.preset.differs,
            "fault": self.preset.fault,
            "touched": self.touched,
            "definition": self.definition.to_dict(),
        }

    def lines(self) -> list[str]:
        """As lines for a terminal."""
        source = f"{self.preset.library} {self.preset.versions}"
        gap = _difference(self.difference, self.value)
        head = f"  {self.preset.name:35}{_number(self.value):>9}{gap:>11}  {source}"
        told = [self.preset.differs, self._defines()]
        if self.preset.fault:
            told.append(f"BUG: {self.preset.fault}.")
        if self.preset.touched is not None:
            told.append(f"Here, {self.preset.touched.what}: {self.touched:,}.")
        return [head, *(line for text in told for line in _indented(text))]

    def _defines(self) -> str:
        theirs = self.definition.to_dict()
        base = self.base.to_dict()
        said = [
            f"{name.replace('_', ' ')}: {value}"
            for name, value in theirs.items()
            if value != base[name] and name in _TOLD and value != "float64"
        ]
        return "; ".join(said)


@dataclass(frozen=True, kw_only=True)
class FileDefinitions:
    """What all presets say of the predictions in files, and what we say.

    Attributes:
        n: How many examples.
        num_classes: How many classes.
        num_bins: How many bins every library is asked for.
        ours: Our numbers by name.
        found: What each preset says, by name.
    """

    n: int
    num_classes: int
    num_bins: int
    ours: dict[str, float]
    found: dict[str, Found]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON, which has no infinity: it becomes null."""
        return {
            "n": self.n,
            "num_classes": self.num_classes,
            "num_bins": self.num_bins,
            "ours": {
                name: {
                    "value": _finite(value),
                    "definition": our_definition(name, self.num_bins).to_dict(),
                }
                for name, value in self.ours.items()
            },
            "presets": {name: each.to_dict() for name, each in self.found.items()},
        }

    def text(self) -> str:
        """As lines for a terminal: our numbers, and below each those of the others."""
        lines = [
            f"{self.n:,} predictions of {self.num_classes} classes. Each library is "
            f"asked for M = {self.num_bins} bins and",
            "handed probabilities in float64. Differences are to our number above.",
        ]
        for name, value in self.ours.items():
            there = [each for each in self.found.values() if each.ours == name]
            lines += ["", f"{name} = {_number(value)}  ours"]
            definition = our_definition(name, self.num_bins)
            lines += _indented(
                f"{definition.quantity}; {definition.edges or 'no bins'}"
            )
            lines += [line for each in there for line in each.lines()]
        return "\n".join([*lines, *self._missing()])

    def _missing(self) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for name, each in self.found.items():
            if each.reason is not None:
                reasons.setdefault(each.reason, []).append(name)
        if not reasons:
            return []
        lines = ["", "no number:"]
        for reason, names in reasons.items():
            lines += wrap(f"{', '.join(names)}: {reason}", _WIDTH, **_HANGING)
        return lines


def define_files(
    files: Sequence[Path | str], *, kind: str | None = None, num_bins: int = 15
) -> FileDefinitions:
    """Evaluate every preset and our own numbers on the predictions of files.

    Args:
        files: Files, folders and globs: one data set, held in memory.
        kind: "logits" or "probs", where a file holds both.
        num_bins: How many bins each library is asked for.

    Raises:
        DataError: The contents are no predictions.
        ParameterError: `kind` or `num_bins` is not valid, a file is given twice, or
            there are more than 2^26 numbers.
        ResourceError: A file may not be read.
    """
    return define(_held(files, kind), num_bins=num_bins)


def define(some: Predictions, *, num_bins: int = 15) -> FileDefinitions:
    """Evaluate every preset and our own numbers on predictions.

    Raises:
        ParameterError: `num_bins` is not in 1..10000.
    """
    # In the order of OURS, so that what belongs together stands together.
    wanted = {preset.counterpart(some) for preset in PRESETS.values()}
    ours = {
        name: compute(some, num_bins)
        for name, compute in OURS.items()
        if name in wanted and (some.num_classes == 2 or not name.startswith("class_1"))
    }
    found = {
        name: _found(PRESETS[name], some, num_bins, ours) for name in sorted(PRESETS)
    }
    return FileDefinitions(
        n=some.num_examples,
        num_classes=some.num_classes,
        num_bins=num_bins,
        ours=ours,
        found=found,
    )


def _found(
    preset: Preset, some: Predictions, num_bins: int, ours: dict[str, float]
) -> Found:
    value, reason = None, None
    try:
        value = preset(some, num_bins=num_bins)
    except NoNumberError as error:
        reason = str(error)
    counterpart = preset.counterpart(some)
    difference = None
    if value is not None and math.isfinite(value - ours[counterpart]):
        difference = value - ours[counterpart]
    return Found(
        preset=preset,
        definition=preset.definition(some, num_bins=num_bins),
        base=our_definition(counterpart, num_bins),
        value=value,
        reason=reason,
        ours=counterpart,
        difference=difference,
        touched=preset.num_touched(some),
    )


def _held(files: Sequence[Path | str], kind: str | None) -> Predictions:
    held: list[Chunk] = []
    numbers = 0
    for chunk in stream_predictions(files, kind=kind):
        held.append(chunk)
        numbers += chunk.predictions.values.size
        if numbers > _MOST_NUMBERS:
            msg = (
                f"more than {_MOST_NUMBERS:,} numbers (examples times classes): other "
                "libraries' definitions need them all in memory. Give a part of them, "
                "or use `calibench evaluate`, which takes any number."
            )
            raise ParameterError(msg)
    return joined(held)


_HANGING: dict[str, Any] = {
    "initial_indent": "  ",
    "subsequent_indent": "      ",
    "break_on_hyphens": False,
}


def _indented(text: str) -> list[str]:
    return wrap(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _difference(difference: float | None, value: float | None) -> str:
    if difference is None:
        return "" if value is None else "-"
    if abs(difference) <= _EQUAL:
        return "equal"
    # What six decimals would call 0 is told by its size.
    small = abs(difference) < 5e-7
    return f"{difference:+.0e}" if small else f"{difference:+.6f}"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value

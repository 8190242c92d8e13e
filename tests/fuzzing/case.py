"""One file to be read, and what reading it must end in."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

# "refused": one of our errors. "same": the examples that went in. "any": either a valid
# evaluation or one of our errors. "refused or same": where a checksum tells.
Expected = Literal["any", "refused", "same", "refused or same"]


@dataclass(frozen=True, eq=False)
class Examples:
    """What a file says, whether or not it makes sense."""

    kind: str
    values: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Case:
    """A file, with those that belong beside it.

    Attributes:
        files: Contents by name; the first is the one that is read.
        expected: What reading it must end in.
        change: What was done to a valid file.
        examples: What went in.
        options: What the reader is asked for besides: groups, weights.
    """

    files: dict[str, bytes]
    expected: Expected
    change: str
    examples: Examples | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return next(iter(self.files))

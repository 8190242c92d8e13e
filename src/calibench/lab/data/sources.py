"""The menu of data sets: one frozen description for each kind a study may name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibench.lab.data.dataset import Dataset
from calibench.lab.data.gratings import DIFFICULTY, check_gratings, gratings


@dataclass(frozen=True, kw_only=True)
class Gratings:
    """Embedded images with known posterior; see `gratings` for the parameters.

    Raises:
        ParameterError: A parameter is out of its range.
    """

    kind: Literal["gratings"] = "gratings"
    num_train: int = 4000
    num_test: int = 4000
    image_size: int = 16
    num_classes: int = 10
    difficulty: float = DIFFICULTY
    seed: int = 0

    def __post_init__(self) -> None:
        check_gratings(
            self.num_train,
            self.num_test,
            self.image_size,
            self.num_classes,
            self.difficulty,
        )

    def load(self, data_dir: Path) -> Dataset:  # noqa: ARG002 (nothing is stored)
        return gratings(
            self.num_train,
            self.num_test,
            self.image_size,
            self.num_classes,
            self.difficulty,
            self.seed,
        )


DATASETS = {"gratings": Gratings}

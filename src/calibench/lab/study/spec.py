"""What a study is: a grid of runs. Pure data, no files."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from calibench.errors import ParameterError
from calibench.lab.data.dataset import Dataset
from calibench.lab.data.sources import DatasetShape
from calibench.lab.data.splits import SplitSizes
from calibench.lab.store.canonical import digest
from calibench.lab.study.claim_spec import ClaimSpec
from calibench.lab.study.own_code import OwnCode, model_factory
from calibench.lab.training.recipe import Recipe
from calibench.losses import LOSSES, Loss
from calibench.models import ModelFactory


@runtime_checkable
class DatasetSpec(Protocol):
    """A frozen dataclass that says which data set, and can load it."""

    def shape(self, data_dir: Path) -> DatasetShape:
        """Return what its cost depends on, without the data where it is known."""
        ...

    def load(self, data_dir: Path) -> Dataset:
        """Return the data set, from files under `data_dir` where it has any."""
        ...


@dataclass(frozen=True, kw_only=True)
class NamedLoss:
    """A loss of the grid, and what the report calls it.

    Attributes:
        own: Where it comes from, if it is code of the user's own.
    """

    name: str
    loss: Loss
    own: OwnCode | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the loss as the study file writes it."""
        if self.own is not None:
            return {**self.own.to_dict(), "name": self.name}
        kind = next(k for k, cls in LOSSES.items() if cls is type(self.loss))
        return {"kind": kind, "name": self.name, **plain(self.loss)}


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One training run. Equal specs are the same run.

    Attributes:
        own_model: Where the model comes from, if it is code of the user's own.
    """

    dataset: DatasetSpec
    model: str
    width: int
    named_loss: NamedLoss
    seed: int
    splits: SplitSizes
    train: Recipe
    own_model: OwnCode | None = None

    @property
    def model_source(self) -> str | ModelFactory:
        """What `build_model` is to be given."""
        return self.model if self.own_model is None else model_factory(self.own_model)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that can change the result."""
        own = self.own_model
        return {
            "dataset": plain(self.dataset),
            "model": self.model,
            **({} if own is None else {"model_source": own.source}),
            "width": self.width,
            "loss": self.named_loss.to_dict(),
            "seed": self.seed,
            "splits": plain(self.splits),
            "train": plain(self.train),
        }

    @property
    def run_id(self) -> str:
        """Readable, and unique to everything that can change the result."""
        content = self.to_dict()
        model = self.model.replace(":", ".")
        return f"{model}-{self.named_loss.name}-seed{self.seed}-{digest(content)[:8]}"


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """The grid model x loss x seed on one data set.

    Attributes:
        width: Channels of the first stage; 64 is the published networks'.
        keep: Whose logits are stored: those of "all" epochs, of the "last", or of
            every k-th and the last where it is a number. Metrics are kept for all.
        own_models: By name, the models that are code of the user's own.
        claims: What the study claims, beside what is claimed of every study.
    """

    name: str
    dataset: DatasetSpec
    models: tuple[str, ...]
    losses: tuple[NamedLoss, ...]
    train: Recipe
    seeds: tuple[int, ...] = (0,)
    width: int = 64
    splits: SplitSizes = field(
        default_factory=lambda: SplitSizes(selection=2500, calibration=2500)
    )
    keep: Literal["all", "last"] | int = "all"
    own_models: Mapping[str, OwnCode] = field(default_factory=dict)
    claims: tuple[ClaimSpec, ...] = ()

    def runs(self) -> list[RunSpec]:
        """Return every run of the grid, in a fixed order."""
        return [
            RunSpec(
                dataset=self.dataset,
                model=model,
                width=self.width,
                named_loss=named_loss,
                seed=seed,
                splits=self.splits,
                train=self.train,
                own_model=self.own_models.get(model),
            )
            for seed, model, named_loss in product(self.seeds, self.models, self.losses)
        ]

    def run(self, run_id: str) -> RunSpec:
        """Return the run of that name.

        Raises:
            ParameterError: The study has no such run.
        """
        for run in self.runs():
            if run.run_id == run_id:
                return run
        msg = f"the study {self.name!r} has no run {run_id!r}."
        raise ParameterError(msg)

    def keeps(self, epoch: int) -> bool:
        """Whether the logits of an epoch are stored."""
        is_last = epoch == self.train.epochs
        if isinstance(self.keep, int):
            return is_last or epoch % self.keep == 0
        return is_last or self.keep == "all"

    def to_dict(self) -> dict[str, Any]:
        """Return the study as its file would write it, every default written out."""
        sources = {name: own.source for name, own in self.own_models.items()}
        return {
            "name": self.name,
            "dataset": plain(self.dataset),
            "models": list(self.models),
            "width": self.width,
            "seeds": list(self.seeds),
            "keep": self.keep,
            "splits": plain(self.splits),
            "train": plain(self.train),
            "loss": [named.to_dict() for named in self.losses],
            **({"model_sources": sources} if sources else {}),
            "claim": [plain(claim) for claim in self.claims],
        }


def plain(value: Any) -> Any:  # noqa: ANN401 - a dataclass in, JSON out
    """Return a dataclass as JSON values, without the keys that are None."""
    if isinstance(value, OwnCode):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf"  # JSON has no infinity
    return value

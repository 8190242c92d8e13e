"""Losses, networks and data sets of the user's own, named `module:name` in a study."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from calibench.errors import ParameterError
from calibench.lab.data.dataset import Dataset
from calibench.lab.data.sources import DatasetShape
from calibench.lab.study.table_reader import TableReader


@dataclass(frozen=True, kw_only=True)
class OwnCode:
    """What a study names by `module:name`.

    Attributes:
        reference: Where it is imported from.
        source: The start of the SHA-256 of the module's file, and of the file that
            defines what it names where that is another; of no further file.
        made: The class or function itself, or what it made from the parameters.
        parameters: As the study file gives them.
    """

    reference: str
    source: str
    made: Any = field(compare=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the study file writes it, with the hash of its source."""
        return {"kind": self.reference, **self.parameters, "source": self.source}


@dataclass(frozen=True, kw_only=True)
class OwnDataset(OwnCode):
    """A data set of the user's own."""

    def shape(self, data_dir: Path) -> DatasetShape:
        """Return what its cost depends on, for which it is loaded."""
        return DatasetShape.of(self.load(data_dir))

    def load(self, data_dir: Path) -> Dataset:
        """Return the data set.

        Raises:
            ParameterError: Its `load` returns no `Dataset`.
        """
        loaded = self.made.load(data_dir)
        if not isinstance(loaded, Dataset):
            msg = (
                f"{self.reference}.load returned a {type(loaded).__name__}. Return a "
                "calibench.lab.data.dataset.Dataset."
            )
            raise ParameterError(msg)
        return loaded


@dataclass(frozen=True)
class CodeReader:
    """Finds what a study names, if it may be imported at all.

    Attributes:
        reader: Where problems are noted.
        is_allowed: Whether importing a study's code was asked for.
    """

    reader: TableReader
    is_allowed: bool

    def found(
        self, where: str, reference: str, source: str | None = None
    ) -> OwnCode | None:
        """Return a class or function by `module:name`, or None and note why not.

        Args:
            where: What names it, for messages.
            reference: `module:name`; the name may have dots.
            source: What its hash was, where that is known.
        """
        if not self.is_allowed:
            self.reader.add(
                where, f"{reference!r} is code of your own. Add --allow-code to run it."
            )
            return None
        module_name, _, name = reference.partition(":")
        try:
            with _importable_from_here():
                module = importlib.import_module(module_name)
            made: Any = module
            for part in name.split("."):
                made = getattr(made, part)
            digest = _source_digest(module, _defining(made, module))
        # A script that ends with sys.exit is no module, but must not end this.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it may raise anything
            self.reader.add(
                where,
                f"{reference!r} cannot be imported ({type(error).__name__}: {error}). "
                "Start calibench in the folder of the module, or install it.",
            )
            return None
        if source not in {None, digest}:
            self.reader.add(
                where,
                f"the file of {module_name!r} has changed: its hash is {digest}, and "
                f"was {source}. Put it back, or run the study file again.",
            )
            return None
        return OwnCode(reference=reference, source=digest, made=made)

    def built(
        self, where: str, reference: str, table: Mapping[str, Any]
    ) -> OwnCode | None:
        """Return what a class makes from a table, or None and note why not."""
        given = {
            key: value for key, value in table.items() if key not in {"kind", "source"}
        }
        code = self.found(where, reference, table.get("source"))
        if code is None:
            return None
        if is_dataclass(code.made) and isinstance(code.made, type):
            made = self.reader.built(where, code.made, given)
        else:
            made = self._called(where, code.made, given)
        if made is None:
            return None
        return OwnCode(
            reference=reference, source=code.source, made=made, parameters=given
        )

    def _called(
        self, where: str, make: Callable[..., Any], given: Mapping[str, Any]
    ) -> Any:  # noqa: ANN401 - whatever the user's class makes
        try:
            return make(**given)
        except Exception as error:  # noqa: BLE001 - a user's class may raise anything
            told = f"{type(error).__name__}: {error}"
            self.reader.add(where, f"cannot be made from {dict(given)} ({told}).")
            return None


def is_own(reference: object) -> bool:
    """Whether a name means code of the user's own."""
    return isinstance(reference, str) and ":" in reference


def check_own_loss(code: OwnCode, num_classes: int) -> None:
    """Try a loss on one small batch.

    Raises:
        ParameterError: It raises, or does not return one number that has a gradient.
    """
    logits = torch.zeros(2, num_classes, requires_grad=True)
    try:
        loss = code.made(logits, torch.tensor([0, num_classes - 1]))
    except Exception as error:
        msg = (
            f"{code.reference} raised {type(error).__name__}: {error} for a batch of "
            f"two examples and {num_classes} classes. Mend it, and try it by itself."
        )
        raise ParameterError(msg) from error
    if not isinstance(loss, torch.Tensor) or loss.shape != ():
        form = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss)
        msg = (
            f"{code.reference} returned {form} for a batch. Return one number, the "
            "mean over the batch."
        )
        raise ParameterError(msg)
    if not loss.requires_grad:
        msg = (
            f"{code.reference} returned a number without a gradient. Compute it from "
            "the logits by differentiable operations of torch."
        )
        raise ParameterError(msg)


def model_factory(code: OwnCode) -> Callable[..., torch.nn.Module]:
    """Return a factory that is given no more than it takes.

    It is called with the number of classes, and with those of `width` and
    `in_channels` that it has parameters for.
    """

    def build(num_classes: int, **sizes: int) -> torch.nn.Module:
        taken = inspect.signature(code.made).parameters
        takes_all = any(each.kind == each.VAR_KEYWORD for each in taken.values())
        known = {k: v for k, v in sizes.items() if takes_all or k in taken}
        network = code.made(num_classes, **known)
        if not isinstance(network, torch.nn.Module):
            msg = f"{code.reference} returned no torch.nn.Module."
            raise ParameterError(msg)
        return network

    return build


def _defining(made: object, module: ModuleType) -> ModuleType:
    """Return the module that defines what another one only names."""
    found = sys.modules.get(getattr(made, "__module__", None) or "", module)
    # What is compiled has no source to record.
    return found if (getattr(found, "__file__", "") or "").endswith(".py") else module


# Once a module: what was imported does not change when its file is edited.
@cache
def _source_digest(module: ModuleType, defining: ModuleType) -> str:
    path = inspect.getsourcefile(module)
    if path is None:
        msg = "it has no source file"
        raise ImportError(msg)
    digest = sha256(Path(path).read_bytes())
    if defining is not module:
        digest.update(Path(str(defining.__file__)).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _importable_from_here() -> Iterator[None]:
    # As `python -m` finds modules: in the folder in which it is started.
    here = str(Path.cwd())
    if here in sys.path:
        yield
        return
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)

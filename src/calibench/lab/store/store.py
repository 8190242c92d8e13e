"""A study on disk: what was asked, and a folder for each run."""

import json
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from calibench.errors import DataError, ParameterError
from calibench.lab.store.canonical import digest
from calibench.lab.store.choices import Choices
from calibench.lab.store.files import write_bytes
from calibench.lab.store.lock import owned
from calibench.lab.store.run_folder import RunFolder

_FORMAT = 1
_PATIENCE = 600.0  # seconds; one of many processes may be measuring (choices.py)
_RUN_ID = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Store:
    """The folder of one study."""

    path: Path

    @classmethod
    def existing(cls, path: Path) -> "Store":
        """Open a store that a study was run in.

        Raises:
            ParameterError: There is none at `path`.
        """
        if not (path / "study.json").is_file():
            msg = (
                f"{path} is not a store: it has no study.json. "
                "`calibench run STUDY.toml --store DIR` makes one."
            )
            raise ParameterError(msg)
        return cls(path)

    @classmethod
    def prepared(cls, path: Path, study: dict[str, Any], toml: str) -> "Store":
        """Make or open the store of a study, and note the study in it.

        A study may grow: its runs are known by their content, so a changed grid
        keeps every run that it still has. Several processes may do this at once.

        Raises:
            ParameterError: The store belongs to another study, or the folder holds
                something else.
            LockedError: Other processes have been at it for long.
        """
        store = cls(path)
        _refuse_foreign(path)
        with owned(path / "lock", patience=_PATIENCE):
            content = {"format": _FORMAT, **study}
            store._note({**content, "seal": digest(content)}, toml)
        return store

    def _note(self, content: dict[str, Any], toml: str) -> None:
        """Write what the study asks, unless it stands there already."""
        files = {
            "study.toml": toml.encode(),
            # Last: where it is, the store is complete.
            "study.json": (json.dumps(content, indent=1) + "\n").encode(),
        }
        if (self.path / "study.json").is_file():
            owner = self.study()["name"]
            if owner != content["name"]:
                msg = (
                    f"{self.path} is the store of the study {owner!r}, not of "
                    f"{content['name']!r}. Give --store another folder."
                )
                raise ParameterError(msg)
        for name, wanted in files.items():
            path = self.path / name
            if not path.is_file() or path.read_bytes() != wanted:
                write_bytes(path, wanted)

    def study(self) -> dict[str, Any]:
        """Return the study as it was resolved, every default written out.

        Raises:
            DataError: The file is not a study, or of a newer format.
        """
        path = self.path / "study.json"
        try:
            content = json.loads(path.read_bytes())
            form, name = content["format"], content["name"]
            _check_seal(content)
        except (ValueError, KeyError, TypeError) as error:
            msg = (
                f"{path}: damaged ({error!r}). Delete this one file and run the study "
                "file again with --store on this folder: every run is kept."
            )
            raise DataError(msg) from error
        if form != _FORMAT or not isinstance(name, str):
            msg = (
                f"{path}: format {form!r}, and this version reads {_FORMAT}. "
                "Use the version of calibench that wrote it."
            )
            raise DataError(msg)
        return content

    @property
    def choices(self) -> Choices:
        """What was chosen once for all runs of the study."""
        return Choices(self.path / "choices.json")

    def toml(self) -> str:
        """Return the study file as the user wrote it."""
        return (self.path / "study.toml").read_text()

    def run(self, run_id: str) -> RunFolder:
        """Return the folder of a run, which may not exist yet."""
        if not _RUN_ID.fullmatch(run_id) or run_id.startswith("."):
            msg = f"{run_id!r} is not the name of a run: use letters, digits, '._-'."
            raise ParameterError(msg)
        return RunFolder(self.path / "runs" / run_id)

    def runs(self) -> list[RunFolder]:
        """Return every run that the study asks for, in its order."""
        return [self.run(run_id) for run_id in self.study()["runs"]]

    def placed_runs(self) -> list[tuple[RunFolder, int, str, str]]:
        """Return every run with its seed, model and loss, even one that never began.

        Raises:
            DataError: The study lists more runs than its grid has, or fewer.
        """
        spec, folders = self.study()["spec"], self.runs()
        losses = [entry["name"] for entry in spec["loss"]]
        grid = list(product(spec["seeds"], spec["models"], losses))
        if len(folders) != len(grid):
            msg = (
                f"{self.path / 'study.json'}: damaged: it lists {len(folders)} runs "
                f"for a grid of {len(grid)}. Run the study file again with --store on "
                "this folder: every run is kept."
            )
            raise DataError(msg)
        return [(folder, *place) for folder, place in zip(folders, grid, strict=True)]


def _refuse_foreign(path: Path) -> None:
    """Refuse a folder of something else; leftovers of a first start do not hinder."""
    if not path.exists():
        return
    own = {"choices.json", "lock", "runs", "study.json", "study.toml"}
    if not path.is_dir() or (
        not (path / "study.json").is_file()
        and any(
            child.name not in own and not child.name.startswith(".")
            for child in path.iterdir()
        )
    ):
        msg = (
            f"{path} exists and is not a store. Give --store a new folder, "
            "or an empty one."
        )
        raise ParameterError(msg)


def _check_seal(content: dict[str, Any]) -> None:
    """Take the seal off a study; an earlier version, or a later, has none or another.

    Raises:
        ValueError: The content is not what was sealed.
    """
    seal = content.pop("seal", None)
    if seal not in {None, digest(content)} and content["format"] == _FORMAT:
        msg = "its seal does not fit its content"
        raise ValueError(msg)

"""What a disk may hold after a power loss, from the operations that were asked for.

The model is what POSIX promises and no more. A file's content is on disk once the file
was synced; until then any part of what changed may be there. A name, a rename or a
deletion is on disk once its folder was synced; until then each may be there or not,
whatever came first.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.disk import Operation

# More combinations than this at one instant are drawn at random.
MOST = 200


@dataclass(eq=False)
class File:
    """The content that is on disk for sure, and the newest."""

    safe: bytes = b""
    newest: bytes = b""

    def outcomes(self) -> list[bytes]:
        """Nothing of what changed, all, its first half, or room filled with zeros."""
        old, new = self.safe, self.newest
        if old == new:
            return [new]
        half = (len(old) + len(new)) // 2
        torn = new[:half] if len(new) >= len(old) else new + old[len(new) : half]
        zeros = old[: len(new)].ljust(len(new), b"\0")
        return list(dict.fromkeys([new, old, torn, zeros]))


@dataclass(eq=False)
class Folder:
    """The names that are there for sure, and what changed since."""

    safe: dict[str, Any] = field(default_factory=dict)
    newest: dict[str, Any] = field(default_factory=dict)
    changes: list[tuple[tuple[str, Any], ...]] = field(default_factory=list)

    def change(self, *names: tuple[str, Any]) -> None:
        """Set names, or delete those given with None, in one step."""
        self.changes.append(names)
        _apply(self.newest, names)

    def sync(self) -> None:
        self.safe, self.changes = dict(self.newest), []

    def outcomes(self) -> list[dict[str, Any]]:
        """Each set of names that may be there, the newest first."""
        found = []
        for kept in itertools.product((True, False), repeat=len(self.changes)):
            names = dict(self.safe)
            for is_kept, change in zip(kept, self.changes, strict=True):
                if is_kept:
                    _apply(names, change)
            if names not in found:
                found.append(names)
        return found


class Disk:
    """A folder and all below it, as the operations leave it."""

    def __init__(self, root: Path) -> None:
        self.root_path, self.root = root.resolve(), Folder()

    def do(self, operation: Operation) -> None:
        folder, name = self._place(operation.path)
        if operation.kind == "mkdir":
            folder.change((name, Folder()))
        elif operation.kind == "create":
            self._create(folder, name)
        elif operation.kind == "rename":
            target, new_name = self._place(operation.target)
            if target is not folder:
                message = "a rename between folders is not modelled"
                raise NotImplementedError(message)
            folder.change((new_name, folder.newest[name]), (name, None))
        elif operation.kind in {"unlink", "rmdir"}:
            if name in folder.newest:  # DuckDB's scratch file was never announced
                folder.change((name, None))
        else:
            self._content(operation, folder.newest[name] if name else folder)

    def _create(self, folder: Folder, name: str) -> None:
        if name in folder.newest:
            folder.newest[name].newest = b""
        else:
            folder.change((name, File()))

    def _content(self, operation: Operation, what: Any) -> None:
        if operation.kind == "sync" and isinstance(what, Folder):
            what.sync()
        elif operation.kind == "sync":
            what.safe = what.newest
        elif operation.kind == "write":
            end = operation.place + len(operation.content)
            before = what.newest[: operation.place].ljust(operation.place, b"\0")
            what.newest = before + operation.content + what.newest[end:]
        else:
            what.newest = what.newest[: operation.place].ljust(operation.place, b"\0")

    def _place(self, path: Path) -> tuple[Folder, str]:
        """Return a folder and the name in it; the root itself has none."""
        parts = path.relative_to(self.root_path).parts
        folder = self.root
        for part in parts[:-1]:
            folder = folder.newest[part]
        return folder, parts[-1] if parts else ""

    def newest(self) -> dict[str, bytes | None]:
        """Return what any process sees: path -> content, None for a folder."""
        return dict(_listed(self.root, "", {}))

    def states(self, rng: random.Random) -> Iterator[dict[str, bytes | None]]:
        """Yield what may be there: path -> content, None for a folder."""
        places = self._places(self.root)
        choices = [place.outcomes() for place in places]
        number = 1
        for each in choices:
            number *= len(each)
        if number <= MOST:
            picked: Iterator[Sequence[Any]] = itertools.product(*choices)
        else:
            drawn = (tuple(map(rng.choice, choices)) for _ in range(MOST))
            picked = itertools.chain([tuple(each[0] for each in choices)], drawn)
        for outcome in picked:
            chosen = {id(p): o for p, o in zip(places, outcome, strict=True)}
            yield dict(_listed(self.root, "", chosen))

    def _places(self, folder: Folder) -> list[Any]:
        """Return every file and folder that can be there and is not settled."""
        found, waiting = [], [folder]
        while waiting:
            place = waiting.pop()
            if any(place is each for each in found):
                continue
            found.append(place)
            if isinstance(place, Folder):
                waiting += place.safe.values()
                waiting += [
                    what for c in place.changes for _, what in c if what is not None
                ]
        return [each for each in found if len(each.outcomes()) > 1]


def _apply(names: dict[str, Any], change: tuple[tuple[str, Any], ...]) -> None:
    for name, what in change:
        if what is None:
            names.pop(name, None)
        else:
            names[name] = what


def _listed(
    folder: Folder, path: str, chosen: dict[int, Any]
) -> Iterator[tuple[str, bytes | None]]:
    for name, what in chosen.get(id(folder), folder.newest).items():
        whole = f"{path}{name}"
        if isinstance(what, Folder):
            yield whole, None
            yield from _listed(what, f"{whole}/", chosen)
        else:
            yield whole, chosen.get(id(what), what.newest)


def crash_states(
    root: Path, operations: Sequence[Operation], *, first: int = 0, seed: int = 0
) -> Iterator[tuple[int, dict[str, bytes | None]]]:
    """Yield how many operations were done, and a state that the disk may be in then.

    Each state comes once for each instant; instants before `first` are left out.
    """
    disk, rng = Disk(root), random.Random(seed)  # noqa: S311 - no secret
    for done in range(len(operations) + 1):
        if done:
            disk.do(operations[done - 1])
        if done < first:
            continue
        seen = set()
        for state in disk.states(rng):
            key = frozenset(state.items())
            if key not in seen:
                seen.add(key)
                yield done, state


def lay_out(state: dict[str, bytes | None], folder: Path) -> None:
    """Make a folder that holds a state."""
    folder.mkdir(parents=True)
    for name, content in state.items():
        path = folder / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

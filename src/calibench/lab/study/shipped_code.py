"""The user's own modules, taken to machines that do not have them."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True)
class ShippedCode:
    """Source files by their path below the folder in which the driver was started.

    Attributes:
        folder: That folder.
        sources: The modules that lie in it, and whole packages.
    """

    folder: Path
    sources: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "ShippedCode":
        """Take what was imported from a folder so far."""
        paths = sorted({path for each in _imported(folder) for path in each})
        names = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        return cls(folder, names)

    def made_importable(self) -> None:
        """Go to the folder where it is; else to one in which the modules are put."""
        if self.folder.is_dir():
            os.chdir(self.folder)
        if self.sources:
            here = str(self._unpacked())
            if here not in sys.path:
                sys.path.insert(0, here)

    def _unpacked(self) -> Path:
        whole = sha256()
        for name, content in self.sources.items():
            whole.update(f"{name}\0{len(content)}\0".encode() + content)
        # By user and content, so that nobody else's code is ever found there.
        name = f"calibench-{os.getuid()}-{whole.hexdigest()[:32]}"
        folder = Path(tempfile.gettempdir()) / name
        if not folder.exists():
            self._write(folder)
        if folder.stat().st_uid != os.getuid():
            msg = f"{folder} belongs to somebody else."
            raise PermissionError(msg)
        return folder

    def _write(self, folder: Path) -> None:
        fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
        for name, content in self.sources.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            fresh.rename(folder)
        except OSError:  # another worker of this machine was first
            shutil.rmtree(fresh)


def _imported(folder: Path) -> Iterator[list[Path]]:
    for name, module in list(sys.modules.items()):
        source = getattr(module, "__file__", None)
        package = name.partition(".")[0]
        if not source or package in {"__main__", "calibench"}:
            continue
        path = Path(source)
        if path.suffix != ".py" or not path.is_relative_to(folder):
            continue
        inside = path.relative_to(folder).parts
        # A package's folder has the name of the package, and is no environment's.
        if inside[0] == package and len(inside) > 1:
            yield sorted((folder / inside[0]).rglob("*.py"))
        elif len(inside) == 1:
            yield [path]

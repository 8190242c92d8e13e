"""The files that are meant by paths, folders, globs and URLs."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from calibench.errors import DataError, ParameterError, ResourceError
from calibench.lab.data.prediction_layout import KINDS
from calibench.lab.data.prediction_source import (
    StoredFile,
    arrow_module,
    file_system,
    is_url,
    refusals,
    without_credentials,
)

SUFFIXES = (
    ".npz", ".csv", ".npy", ".parquet", ".arrow", ".feather", ".safetensors",
)  # fmt: skip


def files_among(given: Sequence[Path | str | StoredFile]) -> list[StoredFile]:
    """The files that are meant by files, folders and globs, local or by URL.

    Raises:
        DataError: There is none, or one is missing, empty or of an unknown format.
        ParameterError: A file is given twice, or a URL is none.
        ResourceError: A file system refuses.
    """
    found: list[StoredFile] = []
    for each in given:
        meant = list(_meant_by(each))
        if not meant:
            msg = (
                f"{without_credentials(str(each))}: no files of predictions there. "
                f"Give a file, folder or glob of {', '.join(SUFFIXES)}."
            )
            raise DataError(msg)
        found += meant
    seen = set()
    for file in found:
        _refuse_unusable(file)
        identity = _identity(file)
        if identity in seen:
            msg = (
                f"{file.location}: given twice; its examples would count twice. "
                "Name it once."
            )
            raise ParameterError(msg)
        seen.add(identity)
    return found


def _meant_by(given: Path | str | StoredFile) -> Iterable[StoredFile]:
    if isinstance(given, StoredFile):
        return [given]
    return _remote(str(given)) if is_url(given) else _local(given)


def local_file(path: Path) -> StoredFile:
    """A file of this machine.

    Raises:
        DataError: It is missing, empty, a folder or of an unknown format.
        ResourceError: The machine does not tell.
    """
    try:
        size = path.stat().st_size if path.is_file() else 0
        file = StoredFile(str(path), str(path), size)
        _refuse_unusable(file)
    except OSError as error:
        raise unreadable(path, error) from error
    return file


def unreadable(place: object, error: OSError) -> ResourceError:
    """The error for a file that the machine does not let us read."""
    reason = error.strerror or error
    msg = f"{place}: cannot be read: {reason}. Check its permissions and the disk."
    return ResourceError(msg)


def _local(given: Path | str) -> Iterator[StoredFile]:
    path = Path(given)
    if path.is_dir():
        meant = [p for p in sorted(path.iterdir()) if _is_known(p.name) and p.is_file()]
    elif path.exists() or not glob.has_magic(str(given)):
        meant = [path]
    else:
        # Path.glob takes no absolute pattern.
        names = glob.glob(str(given), recursive=True)  # noqa: PTH207
        meant = [Path(name) for name in sorted(names)]
    yield from map(local_file, meant)


def _remote(url: str) -> Iterator[StoredFile]:
    system, path, hidden = file_system(url)
    # What comes before the path in its file system: the scheme, and for some the host.
    before = f"{urlsplit(url).scheme}://" if "://" not in path else ""

    def stored(info: Any) -> StoredFile:  # noqa: ANN401 - pyarrow has no type stubs
        location = without_credentials(before + info.path)
        if info.size is None:
            msg = f"{location}: its server does not tell its size. Copy it here."
            raise DataError(msg)
        return StoredFile(location, info.path, info.size, system, hidden)

    fs = arrow_module("pyarrow.fs")
    with refusals(hidden, without_credentials(url)):
        if glob.has_magic(path):
            infos = _matching(system, path)
        else:
            info = system.get_file_info(path)
            if info.type == fs.FileType.NotFound:
                msg = f"{without_credentials(url)}: does not exist. Check the name."
                raise DataError(msg)
            infos = [info]
            if info.type == fs.FileType.Directory:
                inside = system.get_file_info(fs.FileSelector(path))
                infos = [each for each in inside if _is_known(each.base_name)]
    files = [info for info in infos if info.is_file]
    yield from (stored(info) for info in sorted(files, key=lambda info: info.path))


def _matching(system: Any, pattern: str) -> list[Any]:  # noqa: ANN401
    parts = pattern.split("/")
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    fs = arrow_module("pyarrow.fs")
    deep = fixed < len(parts) - 1
    base = "/".join(parts[:fixed]) or "/"
    inside = system.get_file_info(
        fs.FileSelector(base, recursive=deep, allow_not_found=True)
    )
    return [each for each in inside if _matches(each.path.split("/"), parts)]


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a glob, as the shell reads it."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _is_known(name: str) -> bool:
    # Of arrays that belong together, one stands for all.
    path = PurePosixPath(name)
    of_kind = path.suffix != ".npy" or path.stem.endswith(KINDS)
    hidden = name.startswith(".")
    return path.suffix.lower() in SUFFIXES and of_kind and not hidden


def _refuse_unusable(file: StoredFile) -> None:
    if file.suffix not in SUFFIXES:
        suffix, known = file.suffix or "no suffix", ", ".join(SUFFIXES)
        msg = f"{file.location}: cannot read {suffix!r}; give one of {known}."
        raise DataError(msg)
    if file.size:
        return
    path = Path(file.path)
    why = "the file is empty. Write it again."
    if file.system is None and path.is_dir():
        why = "is a folder, not a file. Give a file in it."
    elif file.system is None and not path.exists():
        why = "does not exist. Check the name, and the folder that you are in."
    msg = f"{file.location}: {why}"
    raise DataError(msg)


def _identity(file: StoredFile) -> tuple[str, str]:
    if file.system is None or file.system.type_name == "local":
        return "local", str(Path(file.path).resolve())
    return file.system.type_name, file.path

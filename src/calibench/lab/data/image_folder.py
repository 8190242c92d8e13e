"""Images in a folder or a zip archive, one folder for each class."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np

from calibench.errors import DataError, ParameterError
from calibench.lab.data.dataset import Dataset, Examples
from calibench.lab.data.foreign_files import reading

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".ppm": "PPM",
}
SPLITS = ("train", "test")
MAX_SIDE = 4096
MAX_FILE_BYTES = 64 << 20

Reader = Callable[[str], bytes]


def load_images(path: Path, *, flip_preserves_label: bool) -> Dataset:
    """Read a data set of image files: `train/CLASS/*.png` and `test/CLASS/*.png`.

    PNG, JPEG, WebP, BMP and PPM are read, as RGB; all images must have one size.
    Classes are the folder names in the order of their code points, and so are the
    files within a class, so that the same files are always the same data set. A zip
    archive of such a tree is read in place; nothing is unpacked. Other files are
    refused, but for hidden ones.

    Raises:
        ParameterError: There is nothing at the path.
        DataError: Names the file that is wrong.
    """
    if not path.exists():
        message = f"images: there is nothing at {path}"
        raise ParameterError(message)
    with _opened(path) as (names, read):
        entries = _entries(path, names)
        classes = sorted({entry.parts[1] for entry in entries})
        train, test = (
            _examples(path, [e for e in entries if e.parts[0] == split], classes, read)
            for split in SPLITS
        )
    return Dataset(
        name=path.stem,
        class_names=tuple(classes),
        train=train,
        test=test,
        flip_preserves_label=flip_preserves_label,
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Reader]]:
    """Give the names of all files below `path`, and a way to read each."""
    if path.is_dir():
        files = (each for each in path.rglob("*") if each.is_file())
        names = [each.relative_to(path).as_posix() for each in files]
        yield names, lambda name: (path / name).read_bytes()
        return
    with reading(path, "folder, nor a readable zip archive"):
        archive = zipfile.ZipFile(path)
    with archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        for name, size in sizes.items():
            if size > MAX_FILE_BYTES:
                message = f"{path}: {name!r} is too large for an image"
                raise DataError(message)
        yield [name for name in sizes if not name.endswith("/")], archive.read


def _entries(path: Path, names: list[str]) -> list[PurePosixPath]:
    """Return the image files, sorted; refuse what has no place in the tree."""
    entries = []
    for name in sorted(names):
        entry = PurePosixPath(name)
        if any(part.startswith(".") and part != ".." for part in entry.parts):
            continue
        is_image = entry.suffix.lower() in FORMATS
        if len(entry.parts) != 3 or entry.parts[0] not in SPLITS or not is_image:
            message = (
                f"{path}: {name!r} has no place; expected train/CLASS/NAME and "
                f"test/CLASS/NAME, with names ending in {', '.join(FORMATS)}"
            )
            raise DataError(message)
        entries.append(entry)
    for split in SPLITS:
        if not any(entry.parts[0] == split for entry in entries):
            message = f"{path}: no images in {split}/CLASS/"
            raise DataError(message)
    return entries


def _examples(
    path: Path, entries: list[PurePosixPath], classes: list[str], read: Reader
) -> Examples:
    images = [_decode(path, entry, read) for entry in entries]
    for entry, image in zip(entries, images, strict=True):
        if image.shape != images[0].shape:
            message = (
                f"{path}: {str(entry)!r} is {image.shape[1]} wide and {image.shape[0]} "
                f"high, {str(entries[0])!r} is {images[0].shape[1]} and "
                f"{images[0].shape[0]}; all images must have one size"
            )
            raise DataError(message)
    labels = np.array([classes.index(entry.parts[1]) for entry in entries])
    pixels = np.stack(images).transpose(0, 3, 1, 2)
    return Examples(np.ascontiguousarray(pixels), labels)


def _decode(path: Path, entry: PurePosixPath, read: Reader) -> np.ndarray:
    # Only folders of images need an image library.
    from PIL import Image  # noqa: PLC0415

    with reading(path / entry, "readable image"):
        content = io.BytesIO(read(str(entry)))
        with Image.open(content, formats=(FORMATS[entry.suffix.lower()],)) as image:
            if max(image.size) > MAX_SIDE:
                message = f"{path}: {str(entry)!r} has a side above {MAX_SIDE} pixels"
                raise DataError(message)
            return np.asarray(image.convert("RGB"))

"""Read CIFAR-10 packed without pickles, as strips of lossless WebP.

A packed folder holds one zip archive for each official batch (`data_batch_1.zip`, ...)
with 100 strips of 100 images below each other, `labels.npy` (uint8, train then test),
`inexact.npy` (indices of images whose pixels are stand-ins) and `manifest.json` with
the SHA-256 of every batch's decoded bytes.
"""

import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from calibench.errors import DataError
from calibench.lab.data.array_cache import Description
from calibench.lab.data.cifar_archives import CIFAR10, IMAGE_SIDE
from calibench.lab.data.foreign_files import reading

NUM_STRIPS = 100
STRIP_IMAGES = 100
BATCH_IMAGES = NUM_STRIPS * STRIP_IMAGES
BATCHES = tuple(
    Path(file.name).stem for file in CIFAR10.train_files + CIFAR10.test_files
)
# A strip of noise, which compresses to nothing less, is 3 * 32 * 32 * 100 bytes.
MAX_STRIP_BYTES = 1_000_000


def is_packed(folder: Path) -> bool:
    """Whether a folder holds the packed form."""
    return (folder / f"{BATCHES[0]}.zip").is_file()


def arrays_from_packed(folder: Path) -> tuple[dict[str, np.ndarray], Description]:
    """Decode the packed form and check it against its manifest.

    Returns:
        The arrays that the official archive would give (see `arrays_from_records`),
        and their description, with the fact `num_inexact`.

    Raises:
        DataError: A file is missing, damaged, or not what the manifest says.
    """
    with reading(folder, "complete packed CIFAR-10"):
        manifest = json.loads((folder / "manifest.json").read_bytes())
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        inexact = np.load(folder / "inexact.npy", allow_pickle=False)
    num_images = len(BATCHES) * BATCH_IMAGES
    if labels.dtype != np.uint8 or labels.shape != (num_images,):
        message = (
            f"{folder / 'labels.npy'}: {labels.dtype} of shape {labels.shape}; "
            f"expected uint8 of shape ({num_images},)"
        )
        raise DataError(message)
    batches = []
    for position, name in enumerate(BATCHES):
        rows = slice(position * BATCH_IMAGES, (position + 1) * BATCH_IMAGES)
        images = _decode(folder / f"{name}.zip")
        expected = manifest.get(name, {})
        _check(folder / f"{name}.zip", images, expected.get("images_nhwc_sha256"))
        _check(folder / "labels.npy", labels[rows], expected.get("labels_sha256"))
        batches.append(images.transpose(0, 3, 1, 2))
    arrays = {
        "train_images": np.concatenate(batches[:-1]),
        "train_labels": labels[:-BATCH_IMAGES],
        "test_images": np.ascontiguousarray(batches[-1]),
        "test_labels": labels[-BATCH_IMAGES:],
    }
    description = Description(
        name=CIFAR10.name,
        source=f"packed images, of which {len(inexact)} are stand-ins",
        facts={"num_inexact": float(len(inexact))},
    )
    return arrays, description


def _decode(path: Path) -> UInt8[np.ndarray, "images 32 32 3"]:
    # Only this form of the data needs an image library.
    from PIL import Image  # noqa: PLC0415

    images = np.empty((BATCH_IMAGES, IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)
    size = (IMAGE_SIDE, IMAGE_SIDE * STRIP_IMAGES)
    with (
        reading(path, "complete batch of packed images"),
        zipfile.ZipFile(path) as zip_,
    ):
        for number in range(NUM_STRIPS):
            name = f"{number:02d}.webp"
            if zip_.getinfo(name).file_size > MAX_STRIP_BYTES:
                message = f"{path}: {name} is too large for {STRIP_IMAGES} images"
                raise DataError(message)
            content = io.BytesIO(zip_.read(name))
            with Image.open(content, formats=("WEBP",)) as strip:
                if strip.size != size:
                    message = f"{path}: {name} is {strip.size}; expected {size}"
                    raise DataError(message)
                start = number * STRIP_IMAGES
                images[start : start + STRIP_IMAGES] = np.asarray(
                    strip.convert("RGB")
                ).reshape(STRIP_IMAGES, IMAGE_SIDE, IMAGE_SIDE, 3)
    return images


def _check(path: Path, content: np.ndarray, expected: str | None) -> None:
    if sha256(np.ascontiguousarray(content).data).hexdigest() != expected:
        message = f"{path}: not the bytes that its manifest.json names"
        raise DataError(message)

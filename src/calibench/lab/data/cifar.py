"""CIFAR-10 and CIFAR-100: fetched once, kept as arrays, checked whenever read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from calibench.errors import DataError, ParameterError
from calibench.lab.data.array_cache import (
    Description,
    has_arrays,
    read_arrays,
    read_description,
    write_arrays,
)
from calibench.lab.data.cifar_archives import CIFAR10, IMAGE_SIDE, CifarArchive
from calibench.lab.data.cifar_packed import arrays_from_packed, is_packed
from calibench.lab.data.cifar_records import (
    arrays_from_records,
    records_from_folder,
    records_from_tar,
)
from calibench.lab.data.dataset import Dataset, Examples
from calibench.lab.data.download import Progress, download


def load_cifar(archive: CifarArchive, data_dir: Path, image_size: int) -> Dataset:
    """Read a CIFAR data set from the arrays kept under `data_dir`.

    Args:
        archive: Which.
        data_dir: Where `fetch_cifar` put it.
        image_size: 32, or 16 for images halved by `halve`.

    Raises:
        DataError: It was not fetched; says what to run.
        IntegrityError: A file is not what was written.
    """
    folder = data_dir / archive.name
    if not has_arrays(folder):
        message = (
            f"{archive.name}: not in {data_dir}. Fetch it with `calibench data fetch "
            f"{archive.name}`, or from a copy with `calibench data fetch "
            f"{archive.name} --from PATH`; CALIBENCH_DATA or --data says where data "
            "sets lie."
        )
        raise DataError(message)
    arrays = read_arrays(folder)

    def examples(split: str) -> Examples:
        images = arrays[f"{split}_images"]
        return Examples(
            images=images if image_size == IMAGE_SIDE else halve(images),
            labels=arrays[f"{split}_labels"].astype(np.int64),
        )

    return Dataset(
        name=archive.name,
        class_names=archive.class_names,
        train=examples("train"),
        test=examples("test"),
        facts=read_description(folder).facts,
    )


def fetch_cifar(
    archive: CifarArchive,
    data_dir: Path,
    *,
    source: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Description:
    """Get a CIFAR data set and keep it as arrays under `data_dir`.

    Args:
        archive: Which.
        data_dir: Where to keep it.
        source: None for the official server and its mirrors; or another address of
            the official archive; or a path: the archive (compressed or not), a
            folder of its record files, or for CIFAR-10 the packed form.
        progress: Told how far a download is.

    Raises:
        ParameterError: There is nothing at the path.
        DataError: What is there is not the data set.
        ResourceError: The network or the disk refused.
        LockedError: Another process is fetching it.
    """
    official = Description(
        name=archive.name,
        source=f"official archive, {archive.remote.name}",
        facts={"num_inexact": 0.0},
    )
    is_address = source is not None and source.startswith(("https://", "http://"))
    if source is None or is_address:
        remote = replace(archive.remote, urls=(source,)) if source else archive.remote
        path = download(remote, data_dir / "downloads", progress=progress)
        arrays = arrays_from_records(path, records_from_tar(path, archive), archive)
        write_arrays(data_dir / archive.name, arrays, official)
        # The arrays hold all of it, in less than a second to read.
        path.unlink()
        return official
    path = Path(source)
    if path.is_dir() and archive is CIFAR10 and is_packed(path):
        arrays, description = arrays_from_packed(path)
    elif path.exists():
        read = records_from_folder if path.is_dir() else records_from_tar
        arrays = arrays_from_records(path, read(path, archive), archive)
        description = official
    else:
        message = f"--from {source}: there is nothing at this path"
        raise ParameterError(message)
    write_arrays(data_dir / archive.name, arrays, description)
    return description


def halve(
    images: UInt8[np.ndarray, "examples channels height width"],
) -> UInt8[np.ndarray, "examples channels half_height half_width"]:
    """Average every 2x2 square of pixels, halves rounded up.

    Example:
        The mean of 0, 1, 0 and 1 is .5:

        >>> images = np.array([[[[0, 1], [0, 1]]]], dtype=np.uint8)
        >>> halve(images).tolist()
        [[[[1]]]]
    """
    total = np.full(
        (*images.shape[:2], images.shape[2] // 2, images.shape[3] // 2), 2, np.uint16
    )
    for row in (0, 1):
        for column in (0, 1):
            total += images[:, :, row::2, column::2]
    return (total // 4).astype(np.uint8)

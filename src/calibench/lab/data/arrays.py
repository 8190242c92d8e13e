"""A user's own images: one .npz file, read without trust."""

import math
import zipfile
from pathlib import Path

import numpy as np

from calibench.errors import DataError, ParameterError
from calibench.lab.data.dataset import Dataset, Examples
from calibench.lab.data.foreign_files import reading

REQUIRED = ("layout", "train_images", "train_labels", "test_images", "test_labels")
OPTIONAL = ("train_posterior", "test_posterior", "class_names")
LAYOUTS = {"NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2)}
# Images compress a few times; zeros, about a thousand times.
FREE_BYTES = 1 << 26
MAX_RATIO = 200


def load_arrays(path: Path, *, flip_preserves_label: bool) -> Dataset:
    """Read a data set from an .npz file.

    Its arrays are `train_images`, `test_images`: uint8, four-dimensional, in the
    `layout` that the string array of this name declares, "NHWC" or "NCHW";
    `train_labels`, `test_labels`: integers from 0; optionally `train_posterior` and
    `test_posterior`: float64 (examples, classes); and `class_names`, strings. Without
    names there are as many classes as the posterior has columns, or else one more
    than the largest label of either split.

    Raises:
        ParameterError: There is no such file.
        DataError: It is not such a file; says which array is wrong.
    """
    if not path.is_file():
        message = f"arrays: there is no file {path}"
        raise ParameterError(message)
    arrays = _read(path)

    order = LAYOUTS[str(arrays["layout"])]

    def examples(split: str) -> Examples:
        images = arrays[f"{split}_images"]
        if images.ndim == len(order):
            images = np.ascontiguousarray(images.transpose(order))
        labels, posterior = arrays[f"{split}_labels"], arrays.get(f"{split}_posterior")
        try:
            return Examples.of_unknown_form(images, labels, posterior)
        except DataError as error:
            message = f"{split} {error}"
            raise DataError(message) from error

    try:
        train, test = examples("train"), examples("test")
        return Dataset(
            name=path.stem,
            class_names=_class_names(arrays, train, test),
            train=train,
            test=test,
            flip_preserves_label=flip_preserves_label,
        )
    except DataError as error:
        message = f"{path}: {error}"
        raise DataError(message) from error


def _read(path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    with reading(path, "readable .npz file"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [info.filename.removesuffix(".npy") for info in members]
        _check_names(path, names)
        for name, info in zip(names, members, strict=True):
            _check_declared(path, name, archive, info)
            with archive.open(info) as member:
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
    if arrays["layout"].shape != () or str(arrays["layout"]) not in LAYOUTS:
        message = (
            f"{path}: layout must be the string 'NHWC' or 'NCHW', which says where "
            "the channels are"
        )
        raise DataError(message)
    return arrays


def _check_names(path: Path, names: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in REQUIRED + OPTIONAL]
    if missing or unknown or len(set(names)) < len(names):
        message = (
            f"{path}: arrays {', '.join(names) or 'none'}; it must hold "
            f"{', '.join(REQUIRED)}, and may hold {', '.join(OPTIONAL)}, each once"
        )
        raise DataError(message)


def _check_declared(
    path: Path, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> None:
    """Refuse an array by what it declares, before memory is taken for it."""
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(member)
    declared = math.prod(shape) * dtype.itemsize
    if declared > info.file_size:
        message = f"{path}: {name} declares {declared:,} bytes and has fewer"
        raise DataError(message)
    if info.file_size > max(FREE_BYTES, MAX_RATIO * info.compress_size):
        message = (
            f"{path}: {name} unpacks {info.compress_size:,} bytes to "
            f"{info.file_size:,}; refused as a bomb. If it is not one, store the file "
            "uncompressed (np.savez)"
        )
        raise DataError(message)


def _class_names(
    arrays: dict[str, np.ndarray], train: Examples, test: Examples
) -> tuple[str, ...]:
    names = arrays.get("class_names")
    if names is not None:
        if names.ndim != 1 or names.dtype.kind != "U":
            message = (
                f"class_names: {names.dtype} of shape {names.shape}; a list of strings "
                "is needed"
            )
            raise DataError(message)
        return tuple(names.tolist())
    if train.posterior is not None:
        num_classes = train.posterior.shape[1]
    else:
        num_classes = int(max(train.labels.max(), test.labels.max())) + 1
    return tuple(str(label) for label in range(num_classes))

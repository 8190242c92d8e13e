"""Write predictions to files that `read_predictions` reads back to the bit."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from calibench.errors import ParameterError
from calibench.lab.data.prediction_source import arrow_module
from calibench.lab.durable import replacing
from calibench.predictions import Predictions

_ROW_GROUP = 2**17


def write_predictions(some: Predictions, path: Path | str) -> None:
    """Write predictions and labels as `.npz`, `.csv` or `.parquet`, by the suffix.

    Parquet has a column for each class, and a checksum for each page.

    Probabilities are written in float64, and have to sum to 1 as such; those that were
    read from float32 may not. The file takes the place of another of its name once it
    is complete and on disk.

    Raises:
        ParameterError: The suffix is another.
        ResourceError: Parquet is asked for and pyarrow is not installed.
        OSError: The disk is full, a permission is missing, ...
    """
    path = Path(path)
    require_writable(path)
    with replacing(path) as file:
        WRITERS[path.suffix.lower()](some, file)


def require_writable(path: Path) -> None:
    """Refuse a file name whose suffix names no format that is written.

    Raises:
        ParameterError: It does not.
    """
    if path.suffix.lower() not in WRITERS:
        suffix, known = path.suffix or "no suffix", " or ".join(WRITERS)
        msg = f"{path}: cannot write {suffix!r}; give a name that ends in {known}."
        raise ParameterError(msg)


def _write_npz(some: Predictions, file: BinaryIO) -> None:
    arrays: dict[str, Any] = {some.kind: some.values, "labels": some.labels}
    np.savez(file, **arrays)


def _write_csv(some: Predictions, file: BinaryIO) -> None:
    prefix = some.kind.removesuffix("s")
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", *(f"{prefix}_{k}" for k in range(some.num_classes))])
    for label, row in zip(some.labels.tolist(), some.values, strict=True):
        # repr of a float, which csv uses, reads back to the same bits.
        writer.writerow([label, *row.tolist()])
    text.flush()
    text.detach()


def _write_parquet(some: Predictions, file: BinaryIO) -> None:
    pq, pa = arrow_module("pyarrow.parquet"), arrow_module("pyarrow")
    prefix = some.kind.removesuffix("s")
    columns = {f"{prefix}_{k}": column for k, column in enumerate(some.values.T)}
    table = pa.table({"label": some.labels} | columns)
    # Numbers that hardly repeat gain nothing from a dictionary.
    pq.write_table(
        table,
        file,
        row_group_size=_ROW_GROUP,
        write_page_checksum=True,
        use_dictionary=["label"],
    )


Writer: TypeAlias = Callable[[Predictions, BinaryIO], None]
WRITERS: dict[str, Writer] = {
    ".npz": _write_npz,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}

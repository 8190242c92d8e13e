"""The footer of a Parquet file, read as pyarrow reads it, and damaged bit by bit."""

import io
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibench.lab.data.parquet_footer import column_chunks
from shape_checks import without_shape_checks

ROWS = 40
LISTS = pa.ListArray.from_arrays(np.arange(0, 3 * ROWS + 1, 3), pa.array(range(120)))
COLUMNS = {
    "label": np.zeros(ROWS, dtype=np.int64),
    "probs": LISTS,
    "many": np.arange(ROWS) % 3,
    "text": pa.array(["é"] * ROWS),
    "flag": pa.array([True, None] * (ROWS // 2)),
    "struct": pa.array([{"a": 1.5, "b": [1, 2]}] * ROWS),
}


def written(**options):
    table = pa.table(COLUMNS).replace_schema_metadata({"key": "value" * 50})
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=17, **options)
    return stream


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False, "compression": "none"},
        {"write_page_checksum": True, "write_page_index": True},
        {"data_page_version": "2.0", "write_statistics": False},
    ],
)
@pytest.mark.parametrize("name", [*COLUMNS, "nowhere"])
def test_a_column_is_what_pyarrow_says(name, options):
    stream = written(**options)
    metadata = pq.read_metadata(stream)
    expected = []
    for i in range(metadata.num_row_groups):
        for j in range(metadata.num_columns):
            chunk = metadata.row_group(i).column(j)
            if chunk.path_in_schema.partition(".")[0] == name:
                pages = [chunk.data_page_offset, chunk.dictionary_page_offset]
                first = min(page for page in pages if page is not None)
                size = chunk.total_compressed_size
                expected.append((i, chunk.num_values, size, first))
    found = [
        (c.row_group, c.num_values, c.stored, c.first_page)
        for c in column_chunks(stream, name)
    ]
    assert found == expected


def test_every_cut_of_a_footer_ends():
    whole = written().getvalue()
    length = int.from_bytes(whole[-8:-4], "little")
    footer = whole[-8 - length : -8]
    for cut in range(0, length, 7):
        part = footer[:cut]
        stream = io.BytesIO(part + len(part).to_bytes(4, "little") + b"PAR1")
        with without_shape_checks(), pytest.raises(ValueError, match="footer"):
            list(column_chunks(stream, "probs"))


EVERY_BYTE = """
import pathlib, sys
from calibench.errors import DataError
from calibench.lab.data.prediction_stream import stream_predictions

path = pathlib.Path(sys.argv[1])
whole = path.read_bytes()
length = int.from_bytes(whole[-8:-4], "little")
refused = 0
for at in range(len(whole) - 8 - length, len(whole)):
    for bit in (2, 64):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        try:
            list(stream_predictions([path]))
        except DataError:
            refused += 1
print(refused)
"""


def test_no_flipped_bit_of_a_footer_ends_the_process(tmp_path):
    """pyarrow does end it, where it makes the metadata of a damaged column."""
    table = pa.table({"labels": [0, 1], "probs": [[0.5, 0.5], [0.25, 0.75]]})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)
    done = subprocess.run(
        [sys.executable, "-c", EVERY_BYTE, tmp_path / "a.parquet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 100

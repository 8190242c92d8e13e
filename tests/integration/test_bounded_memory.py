"""The memory of a pass does not grow with its files."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SOURCE = Path(__file__).parents[2] / "src"
CODE = """
import sys
from calibench.lab.data.prediction_layout import Wanted
from calibench.lab.data.prediction_listing import files_among
from calibench.lab.file_states import states_of_files
(state,) = states_of_files(files_among(sys.argv[1:]), Wanted()).values()
# Not ru_maxrss, which begins at what the process that started this one had.
with open("/proc/self/status") as status:
    (peak,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
print(state.num_examples, int(peak) >> 10)
"""
# One row group, which a reader might hold: of the larger file 64 MB.
ROWS = {"small": 400_000, "large": 1_600_000}


def write_parquet(folder, logits, labels):
    columns = {f"logit_{k}": np.ascontiguousarray(logits[:, k]) for k in range(10)}
    path = folder / "a.parquet"
    table = pa.table({"label": labels} | columns)
    pq.write_table(table, path, row_group_size=4_000_000, use_dictionary=False)
    return path


def write_arrow(folder, logits, labels):
    """One record batch."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), 10)
    batch = pa.record_batch({"labels": labels, "logits": lists})
    path = folder / "a.arrow"
    with pa.ipc.new_file(path, batch.schema) as writer:
        writer.write_batch(batch)
    return path


def measured(path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(path)],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    return tuple(map(int, done.stdout.split()))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak")
@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_four_times_the_rows_take_the_same_memory(tmp_path, write):
    rng = np.random.default_rng(0)
    megabytes = []
    for name, rows in ROWS.items():
        (tmp_path / name).mkdir()
        logits = rng.standard_normal((rows, 10), dtype=np.float32)
        path = write(tmp_path / name, logits, np.zeros(rows, np.int8))
        found, peak = measured(path)
        assert found == rows
        megabytes.append(peak)
    small, large = megabytes
    # The files differ by 48 MB.
    assert large - small < 24, megabytes
    assert large < 512

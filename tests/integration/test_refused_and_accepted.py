"""What must be refused and what must be accepted, by the library and the command line.

One row for each phrase of the rules for prediction files. A refusal names the first bad
row, says how many there are where rows can be counted, and ends with a remedy.
"""

import json
import re
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibench import metrics
from calibench.errors import DataError
from calibench.metrics.stream import MetricState
from calibench.predictions import Predictions
from command_line import calibench, refused
from measures import measured
from shape_checks import without_shape_checks

LABELS = [0, 1, 0, 1]
GOOD = [[0.5, 0.5]] * 4


def bad(value, dtype="float64", column=1):
    """Four rows, of which the last two hold a bad value."""
    rows = np.array(GOOD, dtype=dtype)
    rows[2:, column] = value
    return rows


COUNTED = r"row 2, column 1 \(counted from 0\) .*; 2 of 4 rows are refused for this\. "
DECLARED = "declare the kind as logits if these are"
SUM = r"in row 2 .* sum of a row of {} .*; 2 of 4 rows are refused .*Normalize the rows"
CLASS = r"in row {} \(counted from 0\) is no class id; {} of 4 rows .*0\.\.1 for 2"

# By phrase: kind, values, labels, and what the message says.
REFUSED = {
    "NaN": ("logits", bad(np.nan), LABELS, f"nan in {COUNTED}Drop or repair it"),
    "NaN probability": ("probs", bad(np.nan), LABELS, f"nan in {COUNTED}Prob"),
    "infinite": ("logits", bad(np.inf), LABELS, f"inf in {COUNTED}Drop or repair it"),
    "minus infinity": ("logits", bad(-np.inf), LABELS, f"-inf in {COUNTED}Drop"),
    "infinite probability": ("probs", bad(np.inf), LABELS, f"inf in {COUNTED}Prob"),
    "negative": ("probs", bad(-0.25), LABELS, f"-0.25 in {COUNTED}.*{DECLARED}"),
    "barely negative": ("probs", bad(-5e-324), LABELS, f"-5e-324 in {COUNTED}"),
    "above 1": ("probs", bad(1.25), LABELS, f"1.25 in {COUNTED}.*{DECLARED}"),
    "beyond 4 eps K": ("probs", bad(1 + 9 * 2**-52), LABELS, f"in {COUNTED}"),
    "sum, float64": ("probs", bad(0.5 + 3e-9), LABELS, SUM.format("float64")),
    "sum, float32": ("probs", bad(0.50002, "f4"), LABELS, SUM.format("float32")),
    "sum, half": ("probs", bad(0.508, "f2"), LABELS, SUM.format("float16")),
    "label out of range": ("probs", GOOD, [0, 1, 2, 2], "2 " + CLASS.format(2, 2)),
    "label negative": ("probs", GOOD, [0, -1, 0, 1], "-1 " + CLASS.format(1, 1)),
    "label fractional": ("probs", GOOD, [0, 1, 0.5, 1], "0.5 " + CLASS.format(2, 1)),
    "label NaN": ("probs", GOOD, [0, 1, np.nan, 1], "nan " + CLASS.format(2, 1)),
    "N = 0": ("probs", np.empty((0, 2)), [], "no rows. Give at least one example"),
    "N = 0, logits": ("logits", np.empty((0, 2)), [], "no rows. Give at least one"),
    "K = 1": ("probs", np.ones((4, 1)), [0] * 4, "one class has nothing to predict"),
    "K = 0": ("logits", np.empty((4, 0)), LABELS, "no columns. Give one per class"),
    "rows of another number": ("probs", GOOD, [0, 1], "4 rows of pred.*but 2 lab"),
    "text": ("probs", [["a", "b"]] * 4, LABELS, "real numbers, got dtype"),
    "complex": ("probs", np.array(GOOD) + 0j, LABELS, "real numbers, got dtype"),
    "one-hot labels": ("probs", GOOD, np.eye(2)[LABELS], r"shape \(4, 2\)"),
    "three axes": ("logits", np.zeros((4, 2, 2)), LABELS, r"shape \(4, 2, 2\)"),
}  # fmt: skip


@pytest.fixture
def in_file(tmp_path):
    def write(kind, values, labels):
        np.savez(tmp_path / "some.npz", **{kind: values, "labels": labels})
        return tmp_path / "some.npz"

    return write


@pytest.mark.parametrize("phrase", REFUSED)
def test_refused_by_the_library(phrase):
    kind, values, labels, message = REFUSED[phrase]
    with pytest.raises(DataError, match=f"(?s){message}"):
        getattr(Predictions, f"from_{kind}")(values, labels)


@pytest.mark.parametrize("phrase", REFUSED)
def test_refused_by_the_command_with_code_3(phrase, in_file):
    kind, values, labels, message = REFUSED[phrase]
    said = refused(3, "evaluate", in_file(kind, values, labels), "--json")
    assert re.search(f"(?s)^error: .*some.npz: .*{message}", said), said
    assert said.count("\n") == 1


CSV = "label,prob_0,prob_1\n0,0.5,0.5\n1,0.25,0.75\n"
REFUSED_CSV = {
    "short row": (CSV + "1,0.5\n", "line 4 has 2 cells, the header 3.*Give each"),
    "long row": (CSV + "1,0.5,0.5,0.5\n", "line 4 has 4 cells, the header 3.*Give"),
    "duplicate header": (CSV.replace("_1", "_0"), "repeats prob_0. Give each column"),
    "cut last line": (CSV[:-3], "the last line has no line end.*Add one if not"),
    "cell that is no number": (CSV + "1,0.5,half\n", "line 4, prob_1: 'half' is not a"),
    "label that is no number": (CSV + "cat,0.5,0.5\n", "line 4, label: 'cat' is no"),
    "column missing": (CSV.replace("label", "y"), "no column 'label' among y, prob_0"),
    "no kind": (CSV.replace("prob_", "p"), "neither logits nor probs among .*Name the"),
    "two kinds": (
        "label,prob_0,prob_1,logit_0,logit_1\n0,0.5,0.5,0,0\n",
        r"both logits and probs\. Say which with kind \(--kind\)",
    ),
    "NaN": (CSV + "1,nan,0.5\n", "nan in row 2, column 0 .*1 of 3 rows"),
    "sum": (CSV + "1,0.5,0.4\n", "in row 2 .*1 of 3 rows are refused.*Normalize"),
}


@pytest.mark.parametrize("phrase", REFUSED_CSV)
def test_csv_is_strict(phrase, tmp_path):
    text, message = REFUSED_CSV[phrase]
    (tmp_path / "some.csv").write_text(text)
    said = refused(3, "evaluate", tmp_path / "some.csv")
    assert re.search(f"^error: .*some.csv: .*{message}", said), said


def npy_header(shape):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zip_bomb(folder):
    path = folder / "some.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("probs.npy", "labels.npy"):
            archive.writestr(name, npy_header((10**13, 2)) + bytes(10**6))
    return path


def npy_bomb(folder):
    (folder / "labels.npy").write_bytes(npy_header((10**13,)))
    (folder / "probs.npy").write_bytes(npy_header((10**13, 2)) + bytes(10**6))
    return folder / "probs.npy"


def parquet_bomb(folder):
    # A constant column of lists unfolds a thousandfold.
    rows = 2_200_000
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.full(rows * 16, 0.0625)), 16)
    table = pa.table({"labels": np.zeros(rows, dtype=np.int8), "probs": lists})
    pq.write_table(table, folder / "some.parquet", row_group_size=rows)
    return folder / "some.parquet"


def pickle_inside(folder):
    labels = np.array([print, 0], dtype=object)
    np.savez(folder / "some.npz", probs=GOOD[:2], labels=labels)
    return folder / "some.npz"


FILES = {
    "zip bomb": (zip_bomb, "declares 160,000,000,000,000 bytes but"),
    "npy bomb": (npy_bomb, "declares 160,000,000,000,000 bytes but"),
    "Parquet bomb": (
        parquet_bomb,
        "would unfold .* into 281,600,000. Write row groups",
    ),
    "pickle": (pickle_inside, "must hold real numbers, got dtype object"),
}


@pytest.mark.parametrize("phrase", FILES)
def test_bombs_and_pickles_are_refused_by_what_they_declare(phrase, tmp_path):
    write, message = FILES[phrase]
    said = refused(3, "evaluate", write(tmp_path))
    assert re.search(f"^error: .*{message}", said), said


@pytest.mark.parametrize("bins", ["0", "-1", "10001"])
def test_bins_that_are_none(bins, in_file):
    said = refused(2, "evaluate", in_file("probs", GOOD, LABELS), "--bins", bins)
    assert "num_bins must be at" in said


def test_a_name_in_a_file_cannot_steer_the_terminal(tmp_path):
    (tmp_path / "some.csv").write_text("label,\x1b[2J\x9b31m\x07\n0,1\n")
    said = refused(3, "evaluate", tmp_path / "some.csv")
    assert all(c.isprintable() for c in said.rstrip("\n"))


# By phrase: kind, values, labels.
ACCEPTED = {
    "N = 1": ("probs", [[0.75, 0.25]], [0]),
    "N = 1, logits": ("logits", [[3.0, 0.5, -1.0]], [2]),
    "one class present": ("probs", [[0.75, 0.25], [0.25, 0.75]], [1, 1]),
    "all right": ("probs", [[0.75, 0.25], [0.25, 0.75]], [0, 1]),
    "all wrong": ("probs", [[0.75, 0.25], [0.25, 0.75]], [1, 0]),
    "certain and right": ("probs", np.eye(3), [0, 1, 2]),
    "certain and wrong": ("probs", np.eye(3), [1, 2, 0]),
    "ties": ("probs", [[0.25] * 4] * 6, [0, 1, 2, 3, 0, 0]),
    "tied logits": ("logits", np.zeros((5, 3)), [0, 1, 2, 0, 1]),
    "K = 2 in two columns": ("probs", [[0.75, 0.25], [0.5, 0.5]], [0, 1]),
    "K = 2 in one column": ("probs", [[0.25], [0.5]], [0, 1]),
    "K = 2 in one axis": ("logits", [-1.0, 0.5], [0, 1]),
    "above 1 within 4 eps K": ("probs", [[1 + 2**-52, 0.0]], [0]),
    "logits of thousands": ("logits", [[3000.0, -3000.0], [0.0, 5.0]], [1, 1]),
}


@pytest.mark.parametrize("phrase", ACCEPTED)
def test_accepted_by_the_library_in_every_dtype(phrase):
    kind, values, labels = ACCEPTED[phrase]
    make = getattr(Predictions, f"from_{kind}")
    values = np.array(values)
    with without_shape_checks():
        for dtype in ("float16", "float32", "float64", "longdouble", ">f4"):
            given = values.astype(dtype)
            found = measured(make(given, labels))
            assert found == measured(make(given.astype(float), labels)), dtype
            assert not any(np.isnan(value) for value in found.values())


@pytest.mark.parametrize("phrase", ACCEPTED)
def test_accepted_by_the_command(phrase, in_file):
    kind, values, labels = ACCEPTED[phrase]
    values = np.asfortranarray(np.array(values, dtype="float32"))
    path = in_file(kind, values, np.array(labels, dtype=">u2"))
    done = calibench("evaluate", path, "--json")
    assert (done.code, done.err) == (0, "")
    copy = getattr(Predictions, f"from_{kind}")(values.astype(float), labels)
    for name, value in metrics.scalars(copy).items():
        if name in done.json["metrics"]:
            wanted = value if np.isfinite(value) else None
            assert done.json["metrics"][name]["value"] == wanted, name
    assert done.json["n"] == len(labels)


def test_a_hundred_thousand_classes():
    classes = 100_000
    probs = np.zeros((2, classes), dtype=np.float32)
    probs[0, 0] = probs[1, 1] = 1
    some = Predictions.from_probs(probs, [0, 2])
    assert metrics.top_label_ece(some) == 0.5
    with without_shape_checks():
        # Certain of class 1 and wrong about 1 and 2: half an error in each.
        assert metrics.classwise_ece(some) * classes == pytest.approx(1, abs=1e-12)
        assert MetricState.of(some).num_classes == classes


@pytest.mark.parametrize("text", ["\ufeff" + CSV, CSV.replace("0.75", '"0.75"')])
def test_byte_order_marks_and_quotes_are_fine(text, tmp_path):
    (tmp_path / "some.csv").write_bytes(text.encode())
    done = calibench("evaluate", tmp_path / "some.csv", "--json")
    assert (done.code, done.json["n"]) == (0, 2)
    assert json.dumps(done.json, allow_nan=False)

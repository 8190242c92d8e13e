"""Files that must be read, and files that must be refused by name and line."""

import io
import os
import zipfile

import numpy as np
import pytest

from calibench.errors import DataError, ParameterError, ResourceError
from calibench.lab.data.prediction_files import read_predictions
from fuzzing.judge import alarm

PROBS = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
LABELS = np.array([0, 1, 1])
CSV = "label,prob_0,prob_1\n0,0.75,0.25\n1,0.5,0.5\n1,0.25,0.75\n"


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "some.npz"
        np.savez(path, **arrays)
        return path

    return write


@pytest.fixture
def csv_file(tmp_path):
    def write(text):
        path = tmp_path / "some.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def npy(header, body=b"", version=(1, 0)):
    stream = io.BytesIO()
    writer = {(1, 0): np.lib.format.write_array_header_1_0}.get(
        version, np.lib.format.write_array_header_2_0
    )
    writer(stream, header)
    return stream.getvalue() + body


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz(npz, kind, order):
    values = np.asarray(PROBS, order=order, dtype=np.float32)
    some = read_predictions(npz(**{kind: values}, labels=LABELS, other=np.zeros(9)))
    assert some.kind == kind
    assert some.values.tolist() == PROBS.tolist()
    assert some.labels.tolist() == LABELS.tolist()


def test_compressed_npz(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", probs=PROBS, labels=LABELS)
    assert read_predictions(tmp_path / "a.npz").num_examples == 3


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace("\n", "\r\n"),
        "\ufeff" + CSV,
        CSV.replace("0.75", '"0.75"').replace("label", '"label"'),
        "prob_1,id,label,prob_0\n.25,a,0,.75\n.5,b,1,.5\n0.75,c,1,2.5e-1\n",
    ],
    ids=["plain", "crlf", "bom", "quotes", "reordered"],
)
def test_csv(csv_file, text):
    some = read_predictions(csv_file(text))
    assert some.kind == "probs"
    assert some.probs.tolist() == PROBS.tolist()
    assert some.labels.tolist() == LABELS.tolist()


def test_csv_of_logits_of_eleven_classes(csv_file):
    # By name, not as text: logit_10 is the last column, not the third.
    names = [f"logit_{k}" for k in range(11)]
    row = [str(k) for k in range(11)]
    some = read_predictions(csv_file(f"label,{','.join(names)}\n10,{','.join(row)}\n"))
    assert some.kind == "logits"
    assert some.logits.tolist() == [[float(k) for k in range(11)]]


def test_csv_of_one_column(csv_file):
    some = read_predictions(csv_file("label,prob_1\n0,0.25\n1,0.75\n"))
    assert some.probs.tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_a_file_of_both_kinds_needs_the_kind(npz, csv_file):
    path = npz(logits=np.log(PROBS), probs=PROBS, labels=LABELS)
    with pytest.raises(DataError, match="both logits and probs"):
        read_predictions(path)
    assert read_predictions(path, kind="logits").kind == "logits"
    assert read_predictions(path, kind="probs").kind == "probs"
    path = csv_file("label,prob_0,prob_1,logit_0,logit_1\n0,0.5,0.5,0,0\n")
    with pytest.raises(DataError, match="both logits and probs"):
        read_predictions(path)
    assert read_predictions(path, kind="logits").logits.tolist() == [[0.0, 0.0]]


def test_an_unknown_kind(npz):
    with pytest.raises(ParameterError, match=r"'logit'\. Did you mean 'logits'"):
        read_predictions(npz(logits=PROBS, labels=LABELS), kind="logit")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"probs": PROBS}, "no array 'labels' among probs"),
        ({"labels": LABELS}, "neither logits nor probs among labels"),
        ({"prob": PROBS, "labels": LABELS}, "neither logits nor probs among prob, la"),
        ({"probs": PROBS, "labels": LABELS[:2]}, "3 rows of predictions, but 2 labels"),
        ({"probs": PROBS * 2, "labels": LABELS}, r"1.5 in row 0, column 0"),
        ({"probs": PROBS, "labels": LABELS + 1}, r"labels: 2 in row 1"),
        ({"probs": PROBS.astype(str), "labels": LABELS}, "real numbers"),
        ({"probs": PROBS[:0], "labels": LABELS[:0]}, "no rows"),
    ],
)
def test_npz_of_something_else(npz, arrays, message):
    with pytest.raises(DataError, match=rf"some\.npz: .*{message}"):
        read_predictions(npz(**arrays))


def test_a_kind_that_is_not_there(npz):
    with pytest.raises(DataError, match="no logits among probs, labels"):
        read_predictions(npz(probs=PROBS, labels=LABELS), kind="logits")


def test_a_pickle_inside_is_never_loaded(npz):
    path = npz(probs=np.array([[print, 1]], dtype=object), labels=LABELS)
    with pytest.raises(
        DataError, match=r"probs\.npy must hold real numbers, got dtype obj"
    ):
        read_predictions(path)


def test_every_cut_of_an_archive_is_refused(npz):
    path = npz(probs=PROBS, labels=LABELS)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"some\.npz: "):
            read_predictions(path)


def test_no_flipped_bit_passes_unseen(npz):
    path = npz(probs=PROBS, labels=LABELS)
    whole = path.read_bytes()
    good = read_predictions(path)
    for position in range(len(whole)):
        path.write_bytes(
            whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :]
        )
        try:
            some = read_predictions(path)
        except DataError:
            continue
        # Time stamps and the like do not matter to what is read.
        assert some.values.tolist() == good.values.tolist()
        assert some.labels.tolist() == good.labels.tolist()


def test_an_archive_that_declares_more_than_it_holds(tmp_path):
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10)}
    path = zipped(
        tmp_path / "a.npz",
        [("probs.npy", npy(header)), ("labels.npy", npy(header))],
    )
    with pytest.raises(DataError, match="declares 80,000,000,000,000 bytes but 128"):
        read_predictions(path)


@pytest.mark.parametrize("declared", [2, 4])
def test_an_archive_that_declares_a_row_more_or_less(tmp_path, declared):
    header = {"descr": "<f8", "fortran_order": False, "shape": (declared, 2)}
    content = npy(header, np.zeros((3, 2)).tobytes())
    path = zipped(tmp_path / "a.npz", [("probs.npy", content), ("labels.npy", b"")])
    with pytest.raises(DataError, match=rf"probs declares {16 * declared} bytes but"):
        read_predictions(path)


def test_an_archive_that_would_unfold_to_exhaust_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "calibench.lab.data.prediction_files._UNSUSPICIOUS_BYTES", 10**6
    )
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 2)}
    member = ("probs.npy", npy(header, bytes(16 * 10**6)))
    of_labels = {"descr": "|u1", "fortran_order": False, "shape": (10**6,)}
    labels = ("labels.npy", npy(of_labels, bytes(10**6)))
    path = zipped(tmp_path / "a.npz", [member, labels], zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=r"unfold \d\d,\d+ bytes into 16,000,000"):
        read_predictions(path)


def test_a_message_quotes_no_whole_file(csv_file):
    with pytest.raises(DataError, match=r"among xx+ \[\.\.\.\] ") as bad:
        read_predictions(csv_file("x" * 5000 + "\n1\n"))
    assert len(str(bad.value)) < 1200


def test_a_header_of_many_classes_takes_no_square_of_their_number(csv_file):
    classes = 30_000
    header = ",".join(["label", *(f"logit_{k}" for k in range(classes))])
    with alarm(5):
        some = read_predictions(csv_file(f"{header}\n7{',0.5' * classes}\n"))
    assert some.num_classes == classes


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name(tmp_path):
    path = zipped(tmp_path / "a.npz", [("probs.npy", b"a"), ("probs.npy", b"b")])
    with pytest.raises(DataError, match="two arrays have the same name"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,prob_0,prob_1\n", "no rows"),
        ("\n", "neither logits nor probs"),
        ("prob_0,prob_1\n0.5,0.5\n", "no column 'label'"),
        ("label,p0,p1\n0,0.5,0.5\n", "neither logits nor probs among label, p0, p1"),
        ("label,prob_0\n0,1\n", "one class column, prob_0: give prob_1"),
        ("label,prob_1,prob_2\n1,0.5,0.5\n", "2 columns prob_..., but no prob_0"),
        ("label,prob_0,prob_0\n0,0.5,0.5\n", "the header repeats prob_0"),
        (CSV.replace("1,0.5,0.5", "1,0.5"), "line 3 has 2 cells, the header 3"),
        (CSV.replace("1,0.5,0.5", "1,0.5,0.5,9"), "line 3 has 4 cells, the header 3"),
        (CSV + "\n", "line 5 has 0 cells"),
        (CSV[:-1], "no line end"),
        (CSV[:-4], "no line end"),
        (CSV.replace("0.5,0.5", "0.5,half"), "line 3, prob_1: 'half' is not a number"),
        (CSV.replace("0.5,0.5", "0.5,"), "line 3, prob_1: '' is not a number"),
        (CSV.replace("0.5,0.5", "0.5,0_0.5"), "'0_0.5' is not a number"),
        (CSV.replace("1,0.5,0.5", "1.0,0.5,0.5"), "line 3, label: '1.0' is no class"),
        (CSV.replace("1,0.5,0.5", "-1,0.5,0.5"), "line 3, label: '-1' is no class id"),
        (CSV.replace("1,0.5,0.5", "cat,0.5,0.5"), "'cat' is no class id"),
        (CSV.replace("1,0.5,0.5", f"1{'0' * 30},0.5,0.5"), "is no class id"),
        (CSV.replace("1,0.5,0.5", "2,0.5,0.5"), "labels: 2 in row 1"),
        (CSV.replace("0.5,0.5", "nan,0.5"), "probs: nan in row 1, column 0"),
        (CSV.replace("0.5,0.5", "0.5,0.4"), "row 1 .* sum of a row"),
        (CSV.replace("0.5,0.5", '0.5,"0.5'), "unexpected end of data"),
        (CSV.encode().replace(b"0.5,0.5", b"0.5,\xff\xfe"), "not a readable CSV"),
        (CSV.replace("0.5,0.5", "0.5,\x00"), "not a"),
    ],
)
def test_csv_of_something_else(csv_file, text, message):
    with pytest.raises(DataError, match=rf"(?s)some\.csv: .*{message}"):
        read_predictions(csv_file(text))


@pytest.mark.parametrize("name", ["a.npz", "a.csv"])
def test_an_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=f"{name}: the file is empty"):
        read_predictions(tmp_path / name)


def test_a_missing_file_a_folder_and_a_foreign_suffix(tmp_path):
    with pytest.raises(DataError, match=r"a\.npz: does not exist"):
        read_predictions(tmp_path / "a.npz")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(DataError, match=r"b\.csv: is a folder"):
        read_predictions(tmp_path / "b.csv")
    with pytest.raises(
        DataError, match=r"cannot read '\.txt'; give one of \.npz, \.csv"
    ):
        read_predictions(tmp_path / "c.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(npz):
    path = npz(probs=PROBS, labels=LABELS)
    path.chmod(0)
    with pytest.raises(ResourceError, match="Permission denied"):
        read_predictions(path)


def test_a_disk_that_fails(npz, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    path = npz(probs=PROBS, labels=LABELS)
    monkeypatch.setattr(zipfile, "ZipFile", fail)
    with pytest.raises(ResourceError, match=r"some\.npz: .*Input/output error"):
        read_predictions(path)

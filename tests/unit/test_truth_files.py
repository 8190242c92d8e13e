"""Files of a posterior or of counts: what they hold is declared, never guessed."""

import zipfile

import numpy as np
import pytest

from calibench.errors import DataError, ParameterError, ResourceError
from calibench.lab.data import truth_files
from calibench.lab.data.truth_files import read_truth

COUNTS = np.array([[3, 1, 0], [0, 2, 5]])
SHARES = np.array([[0.75, 0.25, 0.0], [0.0, 0.5, 0.5]])


def write(path, text):
    path.write_text(text)
    return path


def parquet(path, **columns):
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), path)
    return path


def test_an_archive_says_by_names(tmp_path):
    np.savez(tmp_path / "a.npz", counts=COUNTS, other=1)
    np.savez(tmp_path / "b.npz", posterior=SHARES)
    np.savez(tmp_path / "c.npz", posterior=SHARES, counts=np.asfortranarray(COUNTS))
    found = read_truth(tmp_path / "a.npz")
    assert (found.kind, found.totals.tolist()) == ("counts", [4, 7])
    assert read_truth(tmp_path / "b.npz").kind == "posterior"
    assert read_truth(tmp_path / "b.npz").probs.tolist() == SHARES.tolist()
    with pytest.raises(DataError, match=r"c\.npz: holds both .*--truth-kind"):
        read_truth(tmp_path / "c.npz")
    both = read_truth(tmp_path / "c.npz", kind="counts")
    assert both.probs.tolist() == found.probs.tolist()
    with pytest.raises(DataError, match="no posterior among counts, other"):
        read_truth(tmp_path / "a.npz", kind="posterior")


def test_an_array_says_by_its_file_name_or_the_flag(tmp_path):
    np.save(tmp_path / "x-counts.npy", COUNTS)
    np.save(tmp_path / "plain.npy", COUNTS)
    assert read_truth(tmp_path / "x-counts.npy").kind == "counts"
    assert read_truth(tmp_path / "plain.npy", kind="counts").kind == "counts"
    with pytest.raises(DataError, match=r"plain\.npy: does not say what it holds"):
        read_truth(tmp_path / "plain.npy")
    with pytest.raises(DataError, match="is named counts, and declared as posterior"):
        read_truth(tmp_path / "x-counts.npy", kind="posterior")


def test_a_table_says_by_its_columns(tmp_path):
    lines = "id,count_1,count_0,count_2\na,1,3,0\nb,2,0,5\n"
    assert read_truth(write(tmp_path / "a.csv", lines)).totals.tolist() == [4, 7]
    lines = '\ufeff"posterior_0","posterior_1"\n0.25,0.75\n'
    found = read_truth(write(tmp_path / "b.csv", lines))
    assert found.probs.tolist() == [[0.25, 0.75]]
    path = parquet(
        tmp_path / "c.parquet", count_1=[1, 2], count_0=[3, 4], id=["a", "b"]
    )
    found = read_truth(path)
    assert found.totals.tolist() == [4, 6]
    assert found.probs[0].tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "count_0,count_1\n1,2\n3\n", "line 3 has 1 cells, the header 2"),
        ("a.csv", "count_0,count_1\n1,2", "no line end"),
        ("a.csv", "count_0,count_1\n1,x\n", "line 2, count_1: 'x' is not a number"),
        ("a.csv", "count_0,count_2\n1,2\n", "of which count_1 must be one"),
        (
            "a.csv",
            "count_0,count_0,count_1\n1,2,3\n",
            "two columns or arrays have the same",
        ),
        ("a.csv", "a,b\n1,2\n", "neither posterior nor counts among a, b"),
        ("a.csv", "count_0,count_1\n", "counts has no rows"),
        ("a.csv", "posterior_0,posterior_1\n.5,.4\n", "0.9 in row 0"),
        ("a.csv", 'count_0,count_1\n1,"2\n', "not a readable CSV"),
        ("a.npz", "nothing", "not a readable .npz archive"),
        ("counts.npy", "nothing", "not a readable .npy file"),
        ("a.parquet", "nothing", "not a readable Parquet file"),
        ("a.csv", "", "the file is empty"),
        ("a.json", "{}", r"cannot read '\.json'; give one of \.npz"),
        ("a.arrow", "x", r"a truth is one file; give one of \.npz, \.npy"),
    ],
)
def test_what_is_no_truth(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as caught:
        read_truth(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert not str(caught.value).startswith(f"{path}: {path}")


def test_an_archive_whose_end_cannot_be_read(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    np.savez(tmp_path / "a.npz", counts=COUNTS)
    # zipfile takes what it raises for "File is not a zip file".
    monkeypatch.setattr(zipfile, "_EndRecData", fail)
    with pytest.raises(ResourceError, match=r"a\.npz: .*Input/output error"):
        read_truth(tmp_path / "a.npz")


def test_others_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="does not exist"):
        read_truth(tmp_path / "a.csv")
    with pytest.raises(ParameterError, match="Did you mean 'counts'"):
        read_truth(tmp_path / "a.csv", kind="count")
    np.save(tmp_path / "counts.npy", np.array(3))
    with pytest.raises(DataError, match="one row per example"):
        read_truth(tmp_path / "counts.npy")
    gap = parquet(tmp_path / "a.parquet", count_0=[1], count_1=[None])
    with pytest.raises(DataError, match="count_1: no value in row 0"):
        read_truth(gap)
    np.savez(tmp_path / "a.npz", counts=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="must hold real numbers"):
        read_truth(tmp_path / "a.npz")
    monkeypatch.setattr(truth_files, "_MOST_NUMBERS", 5)
    np.save(tmp_path / "counts.npy", COUNTS)
    for path in (
        tmp_path / "counts.npy",
        write(tmp_path / "a.csv", "count_0,count_1\n" + "1,1\n" * 3),
        parquet(tmp_path / "a.parquet", count_0=[1] * 3, count_1=[1] * 3),
    ):
        with pytest.raises(DataError, match="more than 5 numbers"):
            read_truth(path)

"""Files behind URLs are read as local ones are, and failures keep secrets."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from calibench.errors import DataError, ParameterError, ResourceError
from calibench.lab.data import prediction_source
from calibench.lab.data.prediction_files import read_predictions
from calibench.lab.data.prediction_listing import files_among
from calibench.lab.data.prediction_source import StoredFile, without_credentials
from calibench.lab.data.prediction_stream import joined, stream_predictions

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((50, 3)).astype(np.float32)
LABELS = RNG.integers(3, size=50)


def write_all(folder):
    """The same predictions in every format, at names that URLs must quote."""
    folder.mkdir(exist_ok=True)
    np.savez(folder / "a [1].npz", logits=LOGITS, labels=LABELS)
    np.save(folder / "b_logits.npy", LOGITS)
    np.save(folder / "b_labels.npy", LABELS)
    columns = {f"logit_{k}": np.ascontiguousarray(LOGITS[:, k]) for k in range(3)}
    table = pa.table({"label": LABELS} | columns)
    pq.write_table(table, folder / "c.parquet")
    with pa.ipc.new_file(folder / "d.arrow", table.schema) as writer:
        writer.write_table(table)
    lines = ["label,logit_0,logit_1,logit_2"]
    for label, row in zip(LABELS, LOGITS, strict=True):
        lines.append(",".join([str(label), *(repr(float(v)) for v in row)]))
    (folder / "e.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_all(tmp_path / "some data")


def test_every_format_by_url(folder):
    names = ["a [1].npz", "b_logits.npy", "c.parquet", "d.arrow", "e.csv"]
    found = files_among([f"file://{folder}"])
    assert [file.location for file in found] == [f"file://{folder}/{n}" for n in names]
    for file in found:
        some = joined(list(stream_predictions([file])))
        assert some.values.tobytes() == LOGITS.astype(np.float64).tobytes()
        assert some.labels.tolist() == LABELS.tolist()


def test_one_file_by_url_is_read_whole(folder):
    some = read_predictions(f"file://{folder}/c.parquet")
    assert some.num_examples == 50
    with pytest.raises(DataError, match=r"5 files\. Name one"):
        read_predictions(f"file://{folder}")


def test_globs_by_url(folder):
    write_all(folder / "deep")

    def names(pattern):
        found = files_among([f"file://{folder.parent}/{pattern}"])
        return [file.location.removeprefix(f"file://{folder}/") for file in found]

    assert names("some*/c.parquet") == ["c.parquet"]
    assert names("some data/[cd].*") == ["c.parquet", "d.arrow"]
    assert names("some data/**/c.parquet") == ["c.parquet", "deep/c.parquet"]
    with pytest.raises(DataError, match=r"/x\*\.npz: no files of predictions there"):
        names("x*.npz")


def test_a_path_and_its_url_are_one_file(folder):
    with pytest.raises(ParameterError, match=r"c\.parquet: given twice"):
        files_among([folder / "c.parquet", f"file://{folder}/c.parquet"])


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("file:///nowhere/a.npz", DataError, r"a\.npz: does not exist\. Check"),
        ("nothing://a/b.npz", ParameterError, "unknown scheme nothing://"),
        ("s3://bucket/a.npz?colour=red", ParameterError, "s3://bucket/a.npz: no file"),
    ],
)
def test_urls_of_nothing(url, error, message):
    with pytest.raises(error, match=message):
        files_among([url])


def test_labels_that_are_not_beside_an_array(folder):
    (folder / "b_labels.npy").unlink()
    with pytest.raises(DataError, match=r"there is no b_labels\.npy beside it"):
        list(stream_predictions([f"file://{folder}/b_logits.npy"]))


def test_pyarrow_that_is_not_installed(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.fs", None)
    with pytest.raises(ResourceError, match=r"pip install 'calibench\[arrow\]'"):
        files_among([f"file://{folder}"])


class Failing:
    """A file system that loses the network, and says more than it should."""

    type_name = "s3"

    def __init__(self, content, after):
        self.content, self.after = content, after

    def get_file_info(self, path):
        return fs.FileInfo(path, fs.FileType.File, size=len(self.content))

    def open_input_file(self, _):
        return self

    def size(self):
        return len(self.content)

    def read_at(self, count, at):
        self.after -= 1
        if self.after < 0:
            msg = "AWS Error NETWORK_CONNECTION for key:s3cr%t at region=secret-place"
            raise OSError(msg)
        return self.content[at : at + count]

    def close(self):
        pass


URL = "s3://key:s3cr%t@bucket/{}?region=secret-place"


@pytest.mark.parametrize("name", ["c.parquet", "a [1].npz", "d.arrow", "e.csv"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_network_that_fails_is_no_damage(folder, monkeypatch, name, after):
    content = (folder / name).read_bytes()
    monkeypatch.setattr(prediction_source, "_BLOCK", 64)
    hidden = prediction_source._secrets("key:s3cr%t", "region=secret-place")
    system = Failing(content, after)
    file = StoredFile(f"s3://bucket/{name}", name, len(content), system, hidden)
    with pytest.raises(ResourceError, match="cannot be read: AWS Error NETWORK") as got:
        list(stream_predictions([file]))
    assert str(got.value).startswith(f"s3://bucket/{name}: ")
    assert "Check the name, the network and the credentials" in str(got.value)
    for secret in ("s3cr", "secret-place"):
        assert secret not in str(got.value)
        assert secret not in repr(file)
    assert got.value.exit_code == 4


def test_a_file_system_that_refuses_to_list(monkeypatch):
    class Refusing:
        type_name = "s3"

        def get_file_info(self, _):
            msg = "ACCESS_DENIED for s3cr%t"
            raise OSError(msg)

    found = (Refusing(), "bucket/a.npz", ("s3cr%t",))
    monkeypatch.setattr(
        "calibench.lab.data.prediction_listing.file_system", lambda _: found
    )
    with pytest.raises(ResourceError) as got:
        files_among([URL.format("a.npz")])
    assert str(got.value).startswith("s3://bucket/a.npz: cannot be read: ACCESS_DENIED")
    assert "s3cr" not in str(got.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a/b.npz", "a/b.npz"),
        ("https://me:pass@host/a.npz?signature=x", "https://host/a.npz"),
        ("s3://bucket/a#1.npz", "s3://bucket/a#1.npz"),
    ],
)
def test_what_a_message_shows_of_a_url(given, expected):
    assert without_credentials(given) == expected


def test_a_scheme_of_fsspec(folder):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    system = fsspec.filesystem("memory")
    for path in folder.iterdir():
        system.pipe(f"/calibench/{path.name}", path.read_bytes())
    try:
        found = files_among(["memory://calibench/*.parquet"])
        some = joined(list(stream_predictions(found)))
        assert some.values.tobytes() == LOGITS.astype(np.float64).tobytes()
    finally:
        system.rm("/calibench", recursive=True)


def test_a_stream_reads_and_seeks_as_a_file_does():
    content = bytes(range(256)) * 20
    system = Failing(content, 10**6)
    stream = StoredFile("s3://b/a", "a", len(content), system).open()
    expected = io.BytesIO(content)
    for offset, whence, count in [(5, 0, 3), (-4, 2, 9), (-20, 1, 7), (9**6, 0, 1)]:
        assert stream.seek(offset, whence) == expected.seek(offset, whence)
        assert stream.read(count) == expected.read(count)
    with pytest.raises(OSError, match="Invalid argument"):
        stream.raw.seek(-1)

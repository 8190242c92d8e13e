"""Every format yields the same predictions, and every damage is refused by name."""

import json

import duckdb
import numpy as np
import pytest

from calibench.errors import DataError, ParameterError
from calibench.lab.data.prediction_files import read_predictions
from calibench.lab.data.prediction_stream import files_among, stream_predictions
from calibench.metrics.stream import MetricState
from calibench.predictions import Predictions

ROWS = 100
RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((ROWS, 3)).astype(np.float32)
LABELS = RNG.integers(3, size=ROWS)
GROUPS = np.arange(ROWS) % 2
WHOLE = Predictions.from_logits(LOGITS, LABELS)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Seven rows at a time, so that parts end everywhere."""
    for name in ("prediction_chunks", "prediction_csv"):
        monkeypatch.setattr(f"calibench.lab.data.{name}.CHUNK", 21)
    monkeypatch.setattr("calibench.lab.data.prediction_parquet._NUMBERS", 21)


def write_npz(path, logits=LOGITS, labels=LABELS):
    np.savez(path, logits=logits, labels=labels, site=GROUPS)


def write_compressed(path):
    np.savez_compressed(path, logits=LOGITS, labels=LABELS, site=GROUPS)


def write_fortran(path):
    np.savez(path, logits=np.asfortranarray(LOGITS), labels=LABELS, site=GROUPS)


def write_npy(path):
    np.save(path, LOGITS)
    np.save(path.with_name("a_labels.npy"), LABELS)
    np.save(path.with_name("a_site.npy"), GROUPS)


def write_csv(path, logits=LOGITS, labels=LABELS):
    lines = ["label,logit_0,logit_1,logit_2,site"]
    for label, row, group in zip(labels, logits, GROUPS, strict=True):
        lines.append(",".join([str(label), *(repr(float(v)) for v in row), str(group)]))
    path.write_text("\n".join(lines) + "\n")


def columns(logits=LOGITS, labels=LABELS):
    numbers = {f"logit_{k}": np.ascontiguousarray(logits[:, k]) for k in range(3)}
    return {"label": labels, "site": GROUPS} | numbers


def write_parquet(path, table=None, query="SELECT * FROM given"):
    with duckdb.connect(":memory:") as connection:
        connection.register("given", table or columns())
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def write_lists(path):
    write_parquet(
        path,
        query="SELECT label AS labels, site, [logit_0, logit_1, logit_2] AS logits "
        "FROM given",
    )


def safetensors(**arrays):
    names = {"float32": "F32", "int64": "I64", "float64": "F64"}
    header, body = {"__metadata__": {"format": "np"}}, b""
    for name, array in arrays.items():
        begin = len(body)
        body += array.tobytes()
        header[name] = {
            "dtype": names[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, len(body)],
        }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def write_safetensors(path):
    path.write_bytes(safetensors(site=GROUPS, logits=LOGITS, labels=LABELS))


WRITERS = {
    "npz": ("a.npz", write_npz),
    "compressed": ("a.npz", write_compressed),
    "fortran": ("a.npz", write_fortran),
    "npy": ("a_logits.npy", write_npy),
    "csv": ("a.csv", write_csv),
    "parquet": ("a.parquet", write_parquet),
    "lists": ("a.parquet", write_lists),
    "safetensors": ("a.safetensors", write_safetensors),
}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    name, write = WRITERS[request.param]
    write(tmp_path / name)
    return tmp_path / name


def state_of(chunks):
    state = MetricState.empty(3)
    for chunk in chunks:
        state = state.update(chunk.predictions)
    return state


def test_every_format_holds_the_same_rows_in_small_parts(written):
    chunks = list(stream_predictions([written]))
    sizes = [chunk.predictions.num_examples for chunk in chunks]
    assert sizes == [7] * 14 + [2]
    values = np.concatenate([chunk.predictions.values for chunk in chunks])
    labels = np.concatenate([chunk.predictions.labels for chunk in chunks])
    assert values.tobytes() == WHOLE.values.tobytes()
    assert labels.tolist() == LABELS.tolist()
    assert all(chunk.groups is None for chunk in chunks)


def test_every_format_has_groups(written):
    chunks = stream_predictions([written], by="site")
    groups = np.concatenate([chunk.groups for chunk in chunks])
    assert groups.astype(str).tolist() == GROUPS.astype(str).tolist()


def test_a_group_that_is_not_there(written):
    with pytest.raises(DataError, match=r"a.*: (no|there is no) .*nowhere"):
        list(stream_predictions([written], by="nowhere"))


def test_a_state_of_shards_in_any_format_is_that_of_memory(tmp_path):
    for part, rows in enumerate(np.array_split(np.arange(ROWS), 3)):
        np.savez(tmp_path / f"{part}.npz", logits=LOGITS[rows], labels=LABELS[rows])
    found = state_of(stream_predictions([tmp_path]))
    expected = MetricState.of(WHOLE)
    for name, array in expected.to_arrays().items():
        assert found.to_arrays()[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("name", "write"), [("a.npz", write_npz), ("a.csv", write_csv)]
)
def test_one_file_is_what_memory_reads(tmp_path, name, write):
    write(tmp_path / name)
    chunks = stream_predictions([tmp_path / name])
    values = np.concatenate([chunk.predictions.values for chunk in chunks])
    expected = read_predictions(tmp_path / name)
    assert values.tobytes() == expected.values.tobytes()


def bad_logits():
    logits = LOGITS.copy()
    logits[52, 1] = np.nan
    return logits


def bad_labels():
    labels = LABELS.copy()
    labels[52] = 3
    return labels


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.npz", write_npz),
        ("a.csv", write_csv),
        ("a.parquet", lambda path, *given: write_parquet(path, columns(*given))),
    ],
)
def test_rows_are_counted_from_the_start_of_the_file(tmp_path, name, write):
    path = tmp_path / name
    write(path, bad_logits(), LABELS)
    # DuckDB writes NaN as a missing value.
    bad = "no value in row 52" if name == "a.parquet" else "nan in row 52, column 1"
    with pytest.raises(DataError, match=rf"{name}: logit.*: {bad} "):
        list(stream_predictions([path]))
    write(path, LOGITS, bad_labels())
    with pytest.raises(DataError, match=rf"{name}: labels: 3 in row 52 \(counted"):
        list(stream_predictions([path]))


@pytest.mark.parametrize("kind", ["npz", "safetensors", "npy", "parquet", "csv"])
def test_every_cut_is_refused(tmp_path, kind):
    name, write = WRITERS[kind]
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    steps = {*range(0, len(whole), 97), len(whole) - 1, len(whole) - 2}
    for length in sorted(steps):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=f"{name}: "):
            list(stream_predictions([path]))


def test_a_flipped_bit_in_an_archive_is_seen_at_its_end(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path)
    whole = path.read_bytes()
    position = whole.index(LOGITS.tobytes()) + 40
    path.write_bytes(
        whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
    )
    with pytest.raises(DataError, match=r"a\.npz: not a readable .* CRC"):
        list(stream_predictions([path]))


def test_a_header_that_is_no_python(tmp_path):
    write_npy(tmp_path / "a_logits.npy")
    whole = (tmp_path / "a_logits.npy").read_bytes()
    (tmp_path / "a_logits.npy").write_bytes(whole.replace(b"}", b"("))
    with pytest.raises(DataError, match=r"a_logits\.npy is not a readable \.npy file"):
        list(stream_predictions([tmp_path / "a_logits.npy"]))


def test_a_signaling_nan_is_refused_as_any_other(tmp_path):
    logits = LOGITS.copy()
    logits.view(np.uint32)[9, 2] = 0x7FA00000
    np.savez(tmp_path / "a.npz", logits=logits, labels=LABELS)
    with pytest.raises(DataError, match=r"a\.npz: logits: nan in row 9, column 2"):
        list(stream_predictions([tmp_path / "a.npz"]))


def test_a_fortran_array_that_memory_cannot_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("calibench.lab.data.prediction_chunks._LARGEST_WHOLE", 1000)
    write_fortran(tmp_path / "a.npz")
    with pytest.raises(DataError, match="1,200 bytes in Fortran order"):
        list(stream_predictions([tmp_path / "a.npz"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff" * 8 + b"{}", "a header of .* bytes is declared"),
        ((2).to_bytes(8, "little") + b"[]", "its header is no object"),
        ((2).to_bytes(8, "little") + b"{]", "not a readable"),
        ((2).to_bytes(8, "little") + b"{}", "neither logits nor probs"),
        (safetensors(logits=LOGITS), "no array 'labels'"),
        (safetensors(logits=LOGITS, labels=LABELS)[:-8], "labels: its header does not"),
        (safetensors(logits=LOGITS, labels=LABELS[1:]), "100 rows of predictions, but"),
        (
            safetensors(logits=LOGITS, labels=LABELS).replace(b'"F32"', b'"X32"'),
            "logits has dtype 'X32'",
        ),
        (
            safetensors(logits=LOGITS, labels=LABELS).replace(b"[100, 3]", b"[100,-3]"),
            "logits: its header does not fit",
        ),
        (
            safetensors(logits=LOGITS, labels=LABELS).replace(b"[100, 3]", b"[999, 3]"),
            "logits: its header does not fit",
        ),
        (
            safetensors(logits=LOGITS, labels=LABELS).replace(b'"labels"', b'"logits"'),
            "two entries have the same name",
        ),
    ],
)
def test_safetensors_of_something_else(tmp_path, content, message):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.safetensors: .*{message}"):
        list(stream_predictions([path]))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT label, logit_0 FROM given", "one class column, logit_0"),
        ("SELECT logit_0, logit_1 FROM given", "no column 'label'"),
        ("SELECT label FROM given", "neither logits nor probs"),
        ("SELECT * FROM given LIMIT 0", "no rows"),
        (
            "SELECT * REPLACE (CASE WHEN logit_1 = (SELECT logit_1 FROM given LIMIT 1 "
            "OFFSET 30) THEN NULL ELSE logit_1 END AS logit_1) FROM given",
            "logit_1: no value in row 30",
        ),
        (
            "SELECT label, CASE WHEN site = 0 THEN [0.5, 0.5] ELSE [1.0] END AS probs "
            "FROM given",
            "row 1 .* has 1 numbers, others 2",
        ),
        ("SELECT label, [0.5, NULL] AS probs FROM given", "lacks a number"),
        ("SELECT label, [1.0] AS probs FROM given", "at most 1 numbers"),
        ("SELECT 'cat' AS label, logit_0, logit_1 FROM given", "real numbers"),
    ],
)
def test_parquet_of_something_else(tmp_path, query, message):
    path = tmp_path / "a.parquet"
    write_parquet(path, query=query)
    with pytest.raises(DataError, match=rf"a\.parquet: .*{message}"):
        list(stream_predictions([path]))


def test_splits_are_not_mixed(tmp_path):
    path = tmp_path / "a.parquet"
    query = "SELECT *, CASE WHEN site = 0 THEN 'test' ELSE 'selection' END AS split "
    write_parquet(path, query=query + "FROM given")
    with pytest.raises(DataError, match="holds 2 splits"):
        list(stream_predictions([path]))
    groups = {g for c in stream_predictions([path], by="split") for g in c.groups}
    assert groups == {"test", "selection"}


def test_files_folders_and_globs_are_one_data_set(tmp_path):
    for name in ("b.npz", "a.npz", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    write_npy(tmp_path / "a_logits.npy")
    expected = ["a.npz", "a_logits.npy", "b.npz"]
    assert [path.name for path in files_among([tmp_path])] == expected
    found = files_among([f"{tmp_path}/*.npz"])
    assert [path.name for path in found] == ["a.npz", "b.npz"]
    with pytest.raises(ParameterError, match=r"a\.npz: given twice"):
        files_among([tmp_path / "a.npz", f"{tmp_path}/*.npz"])
    with pytest.raises(DataError, match="no files of predictions there"):
        files_among([f"{tmp_path}/*.csv"])


def test_files_of_another_problem_are_refused(tmp_path):
    write_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", logits=LOGITS[:, :2], labels=LABELS % 2)
    with pytest.raises(DataError, match=r"b\.npz: 2 classes, but 3"):
        list(stream_predictions([tmp_path]))
    np.savez(tmp_path / "b.npz", probs=WHOLE.probs, labels=LABELS)
    with pytest.raises(DataError, match=r"b\.npz: holds probs, but logits"):
        list(stream_predictions([tmp_path]))


def test_labels_of_arrays_lie_beside_them(tmp_path):
    np.save(tmp_path / "logits.npy", LOGITS)
    with pytest.raises(DataError, match=r"no labels\.npy beside it"):
        list(stream_predictions([tmp_path / "logits.npy"]))
    np.save(tmp_path / "some.npy", LOGITS)
    with pytest.raises(DataError, match=r"must end in logits\.npy or probs\.npy"):
        list(stream_predictions([tmp_path / "some.npy"]))


def test_a_format_that_is_not_read_and_a_file_that_is_not_there(tmp_path):
    (tmp_path / "a.arrow").write_bytes(b"x")
    with pytest.raises(DataError, match=r"cannot read '\.arrow'; give one of \.npz"):
        list(stream_predictions([tmp_path / "a.arrow"]))
    with pytest.raises(DataError, match=r"b\.npz: does not exist"):
        list(stream_predictions([tmp_path / "b.npz"]))
    with pytest.raises(ParameterError, match="unknown kind 'logit'"):
        list(stream_predictions([tmp_path / "b.npz"], kind="logit"))

"""Every format yields the same predictions, and every damage is refused by name."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from calibench.errors import DataError, ParameterError
from calibench.lab.data import prediction_fragments
from calibench.lab.data.prediction_arrow import damage
from calibench.lab.data.prediction_files import read_predictions
from calibench.lab.data.prediction_fragments import chunks_of, fragments_of
from calibench.lab.data.prediction_listing import files_among
from calibench.lab.data.prediction_stream import stream_predictions
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
    monkeypatch.setattr("calibench.lab.data.prediction_layout._CHUNK", 21)


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
    return pa.table({"label": labels, "site": GROUPS} | numbers)


def lists(kind=pa.list_):
    flat = pa.array(LOGITS.ravel())
    make = {
        pa.list_: lambda: pa.ListArray.from_arrays(np.arange(0, 301, 3), flat),
        pa.large_list: lambda: pa.LargeListArray.from_arrays(
            np.arange(0, 301, 3), flat
        ),
        "fixed": lambda: pa.FixedSizeListArray.from_arrays(flat, 3),
        "tensor": lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(LOGITS),
    }
    return pa.table({"labels": LABELS, "site": GROUPS, "logits": make[kind]()})


def write_parquet(path, table=None, **options):
    table = columns() if table is None else table
    pq.write_table(table, path, row_group_size=40, **options)


def write_arrow(path, table=None, options=None):
    table = columns() if table is None else table
    with pa.ipc.new_file(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=40)


def write_arrow_stream(path, table=None):
    table = columns() if table is None else table
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=40)


def with_names(table):
    """Sites as a dictionary of text, as pandas writes categories."""
    text = pc.cast(table["site"], pa.string()).dictionary_encode()
    return table.set_column(table.column_names.index("site"), "site", text)


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


PACKED = pa.ipc.IpcWriteOptions(compression="zstd")
WRITERS = {
    "npz": ("a.npz", write_npz),
    "compressed": ("a.npz", write_compressed),
    "fortran": ("a.npz", write_fortran),
    "npy": ("a_logits.npy", write_npy),
    "csv": ("a.csv", write_csv),
    "parquet": ("a.parquet", write_parquet),
    "lists": ("a.parquet", lambda path: write_parquet(path, lists())),
    "fixed lists": ("a.parquet", lambda path: write_parquet(path, lists("fixed"))),
    "names": ("a.parquet", lambda path: write_parquet(path, with_names(columns()))),
    "arrow": ("a.arrow", write_arrow),
    "packed": ("a.arrow", lambda path: write_arrow(path, options=PACKED)),
    "arrow stream": ("a.arrow", write_arrow_stream),
    "arrow lists": ("a.feather", lambda path: write_arrow(path, lists(pa.large_list))),
    "tensor": ("a.arrow", lambda path: write_arrow_stream(path, lists("tensor"))),
    "arrow names": ("a.arrow", lambda path: write_arrow(path, with_names(lists()))),
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
    assert sum(sizes) == ROWS
    assert max(sizes) == 7
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
        ("a.arrow", lambda path, *given: write_arrow(path, columns(*given))),
    ],
)
def test_rows_are_counted_from_the_start_of_the_file(tmp_path, name, write):
    path = tmp_path / name
    write(path, bad_logits(), LABELS)
    with pytest.raises(
        DataError, match=rf"{name}: logit.*: nan in row 52, column 1 .*Drop or repair"
    ):
        list(stream_predictions([path]))
    write(path, LOGITS, bad_labels())
    with pytest.raises(DataError, match=rf"{name}: labels: 3 in row 52 \(counted"):
        list(stream_predictions([path]))


@pytest.mark.parametrize(
    "kind", ["npz", "safetensors", "npy", "parquet", "csv", "arrow", "packed"]
)
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
    monkeypatch.setattr("calibench.lab.data.prediction_arrays._LARGEST_WHOLE", 1000)
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
            safetensors(logits=LOGITS, labels=LABELS).replace(b'"F32"', b"[   ]"),
            "logits: its header does not fit",
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


def holed():
    values = columns()["logit_1"].to_numpy().tolist()
    values[30] = None
    return columns().set_column(3, "logit_1", pa.array(values, pa.float32()))


def probs(values, kind=None):
    return pa.table({"label": [0, 1], "probs": pa.array(values, kind)})


WRONG_TABLES = {
    "one column": (columns().select(["label", "logit_0"]), "one class column, logit_0"),
    "no label": (columns().drop_columns("label"), "no column 'label'"),
    "no predictions": (columns().select(["label"]), "neither logits nor probs"),
    "no rows": (columns().slice(0, 0), "no rows"),
    "no rows of lists": (lists().slice(0, 0), "no rows"),
    "a gap": (holed(), r"logit_1: no value in row 30 .*Drop the row"),
    "ragged": (probs([[0.5, 0.5], [1.0]]), "row 1 .* has 1 numbers, others 2"),
    "a gap inside": (probs([[0.5, 0.5], [0.5, None]]), "row 1 .* lacks number 1"),
    "no list": (probs([[0.5, 0.5], None]), "probs: no value in row 1"),
    "narrow": (probs([[1.0], [1.0]]), "at most 1 numbers"),
    "narrow and fixed": (probs([[1.0]] * 2, pa.list_(pa.float32(), 1)), "at most 1"),
    "lists of text": (probs([["a", "b"]] * 2), "probs must hold real numbers, got the"),
    "text": (
        pa.table({"label": ["cat"], "logit_0": [0.5], "logit_1": [0.5]}),
        "label must hold real numbers, got the type string",
    ),
    "decimals": (
        pa.table({"label": [0], "prob_1": pa.array([0.5]).cast(pa.decimal128(9, 3))}),
        "prob_1 must hold real numbers, got the type decimal128",
    ),
    "two of a name": (
        pa.Table.from_arrays([pa.array([0])] * 2, names=["label", "label"]),
        "repeats label",
    ),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
@pytest.mark.parametrize(
    ("name", "write"), [("a.parquet", write_parquet), ("a.arrow", write_arrow)]
)
def test_tables_of_something_else(tmp_path, case, name, write):
    table, message = WRONG_TABLES[case]
    write(tmp_path / name, table)
    with pytest.raises(DataError, match=rf"a\.\w+: .*{message}"):
        list(stream_predictions([tmp_path / name]))


def test_a_dictionary_is_no_column_of_numbers(tmp_path):
    labels = pa.array(LABELS).dictionary_encode()
    write_arrow(tmp_path / "a.arrow", columns().set_column(0, "label", labels))
    with pytest.raises(DataError, match=r"label must hold .* type dictionary"):
        list(stream_predictions([tmp_path / "a.arrow"]))


@pytest.mark.parametrize(
    ("name", "write"), [("a.parquet", write_parquet), ("a.arrow", write_arrow)]
)
def test_splits_are_not_mixed(tmp_path, name, write):
    path = tmp_path / name
    split = np.where(GROUPS == 0, "test", "selection")
    write(path, columns().append_column("split", pa.array(split)))
    with pytest.raises(DataError, match=r"holds 2 splits \(selection, test\)"):
        list(stream_predictions([path]))
    groups = {g for c in stream_predictions([path], by="split") for g in c.groups}
    assert groups == {"test", "selection"}
    write(path, columns().append_column("split", pa.array(["test"] * ROWS)))
    assert len(list(stream_predictions([path]))) > 1


def test_a_group_of_a_name_that_would_fill_memory(tmp_path):
    names = pa.array(["x" * 5000] * ROWS)
    write_parquet(tmp_path / "a.parquet", columns().set_column(1, "site", names))
    with pytest.raises(DataError, match=r"site: a group's name has 5,000 characters"):
        list(stream_predictions([tmp_path / "a.parquet"], by="site"))


def flipped(path, wanted, position):
    whole = path.read_bytes()
    at = whole.index(wanted) + position
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


def test_a_flipped_bit_in_a_page_with_a_checksum_is_seen(tmp_path):
    path = tmp_path / "a.parquet"
    plain = {"use_dictionary": False, "compression": "none"}
    stored = np.ascontiguousarray(LOGITS[:40, 1]).tobytes()
    write_parquet(path, write_page_checksum=True, **plain)
    (fragment,) = fragments_of(files_among([path]))
    assert fragment.has_checksums
    flipped(path, stored, 50)
    with pytest.raises(DataError, match=r"a\.parquet: not a readable .*CRC"):
        list(stream_predictions([path]))
    # Without one, nothing can tell.
    write_parquet(path, **plain)
    (fragment,) = fragments_of(files_among([path]))
    assert not fragment.has_checksums
    flipped(path, stored, 50)
    assert state_of(stream_predictions([path])).num_examples == ROWS


def test_lists_that_would_unfold_to_exhaust_memory(tmp_path, monkeypatch):
    limit = "calibench.lab.data.prediction_parquet._UNSUSPICIOUS_BYTES"
    monkeypatch.setattr(limit, 10**5)
    flat = pa.array(np.zeros(40 * 1000, np.float32))
    given = pa.ListArray.from_arrays(np.arange(0, 40_001, 1000), flat)
    labels = np.zeros(40, np.int64)
    write_parquet(tmp_path / "a.parquet", pa.table({"label": labels, "probs": given}))
    with pytest.raises(DataError, match=r"row group 0 would unfold \d+ bytes into 320"):
        list(stream_predictions([tmp_path / "a.parquet"]))


@pytest.mark.parametrize("options", [None, PACKED])
def test_a_record_batch_that_memory_cannot_hold(tmp_path, monkeypatch, options):
    monkeypatch.setattr("calibench.lab.data.prediction_ipc._LARGEST_BATCH", 10**6)
    zeros = np.zeros(10**5, np.float32)
    table = pa.table({"label": np.zeros(10**5, np.int8), "logit_1": zeros})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema, options=options) as writer:
        writer.write_table(table)
    assert (options is None) == ((tmp_path / "a.arrow").stat().st_size > 10**5)
    monkeypatch.setattr("calibench.lab.data.prediction_ipc._LARGEST_BATCH", 499_999)
    with pytest.raises(DataError, match=r"from row 0 on unfolds to 500,\d+ bytes"):
        list(stream_predictions([tmp_path / "a.arrow"]))


@pytest.mark.parametrize(("number", "error"), [(22, DataError), (5, OSError)])
def test_a_disk_that_fails_is_no_damage(number, error):
    with pytest.raises(error) as caught, damage("Arrow file"):
        raise OSError(number, "no place")
    assert isinstance(caught.value, DataError) == (error is DataError)


def test_the_first_feather(tmp_path):
    (tmp_path / "a.feather").write_bytes(b"FEA1" + bytes(40))
    with pytest.raises(DataError, match=r"a\.feather: .*first version of Feather"):
        list(stream_predictions([tmp_path / "a.feather"]))


def test_fragments_divide_a_file_between_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("calibench.lab.data.prediction_fragments._NUMBERS", 150)
    write_parquet(tmp_path / "a.parquet")
    write_csv(tmp_path / "b.csv")
    spans = [
        (f.file.name, f.span.start, f.span.stop, f.span.units)
        for f in fragments_of(files_among([tmp_path]))
    ]
    # Two fragments of at most 50 rows are wanted, and a row group is not cut.
    assert spans == [
        ("a.parquet", 0, 40, range(1)),
        ("a.parquet", 40, 100, range(1, 3)),
        ("b.csv", 0, None, range(0)),
    ]


def test_fragments_together_are_the_file(written, monkeypatch):
    monkeypatch.setattr("calibench.lab.data.prediction_fragments._NUMBERS", 90)
    fragments = list(fragments_of(files_among([written])))
    chunks = [
        chunk for fragment in reversed(fragments) for chunk in chunks_of(fragment)
    ]
    chunks.sort(key=lambda chunk: chunk.start)
    values = np.concatenate([chunk.values for chunk in chunks])
    assert values.astype(np.float64).tobytes() == WHOLE.values.tobytes()
    starts = np.cumsum([0, *(len(chunk.labels) for chunk in chunks)])
    assert [chunk.start for chunk in chunks] == starts[:-1].tolist()
    size = written.stat().st_size
    assert sum(fragment.size for fragment in fragments) == pytest.approx(size, abs=3)
    assert sum(chunk.size for chunk in chunks) == pytest.approx(size, rel=0.2)


def test_files_folders_and_globs_are_one_data_set(tmp_path):
    for name in ("b.npz", "a.npz", "c.txt", ".d.npz"):
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
    (tmp_path / "a.orc").write_bytes(b"x")
    with pytest.raises(DataError, match=r"cannot read '\.orc'; give one of \.npz"):
        list(stream_predictions([tmp_path / "a.orc"]))
    with pytest.raises(DataError, match=r"b\.npz: does not exist\. Check the name"):
        list(stream_predictions([tmp_path / "b.npz"]))
    with pytest.raises(ParameterError, match="unknown kind 'logit'"):
        list(stream_predictions([tmp_path / "b.npz"], kind="logit"))


def test_rows_that_no_file_can_hold_cost_no_memory():
    spans = prediction_fragments._spans([0, 5], 2**62, 8, 3)
    assert [(span.start, span.stop) for span in spans] == [(0, 5), (5, 2**62)]


def test_a_batch_of_less_than_no_rows(tmp_path):
    write_arrow_stream(tmp_path / "a.arrow", columns().slice(0, 37))
    whole = (tmp_path / "a.arrow").read_bytes()
    rows = (37).to_bytes(8, "little")
    # The batch's number of rows comes first, before those of its columns.
    damaged = whole.replace(rows, (-3).to_bytes(8, "little", signed=True), 1)
    (tmp_path / "a.arrow").write_bytes(damaged)
    with pytest.raises(DataError, match=r"a\.arrow: .* declares -3 rows"):
        list(stream_predictions([tmp_path / "a.arrow"]))


def test_a_column_whose_name_is_no_text(tmp_path):
    write_arrow_stream(tmp_path / "a.arrow")
    whole = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(whole.replace(b"site", b"si\x80e"))
    with pytest.raises(DataError, match=r"a\.arrow: not a readable Arrow file"):
        list(stream_predictions([tmp_path / "a.arrow"]))

"""Prediction files of numpy: archives and arrays, valid, and with edited headers."""

import io
import struct
import zipfile
from random import Random

import numpy as np

from fuzzing.case import Case, Examples
from fuzzing.examples import drawn, spoiled

_DTYPES = [
    "'|O'", "'<U4'", "'<c16'", "'<M8[s]'", "[('a', '<f8')]", "'<f3'", "'|V8'", "'|S8'",
    "'<f16'", "'>f8'", "'<i8'", "'|b1'", "'x'", "5", "None", "('<f8', (2,))",
    "'<f8,<f8'",
]  # fmt: skip
_SHAPES = [
    "()", "(0,)", "(3,)", "(1, 2)", "(2, 1)", "(3, 2, 1)", "(-1, 2)", "(3.0, 2)",
    "(True, 2)", "'abc'", "None", "(10**18, 2)", "(1000000000000000000, 2)", "[3, 2]",
    f"({2**63}, 2)", f"({2**70},)", f"(0, {2**62})", "(0, 0)", "{3: 2}",
]  # fmt: skip
_HEADERS = [
    "", "{", "(" * 3000, "-" * 5000 + "1", "[" * 900 + "]" * 900, "{}", "1", "'x'",
    "{'descr': '<f8'}", "__import__('os')", "\0", " " * 20_000, "9" * 6000, "\xff" * 30,
    "{'descr': '<f8', 'fortran_order': 2, 'shape': (1, 2)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), 'x': 1}",
]  # fmt: skip
_ZIP_METHODS = [1, 6, 8, 9, 12, 14, 93, 95, 99]


def valid_npz(some: Examples, rng: Random) -> dict[str, bytes]:
    arrays = _arrays(some, rng)
    if rng.random() < 0.3:
        arrays["other"] = np.arange(rng.randint(0, 9))
    stream = io.BytesIO()
    save = np.savez_compressed if rng.random() < 0.3 else np.savez
    save(stream, **arrays)
    return {"a.npz": stream.getvalue()}


def valid_npy(some: Examples, rng: Random) -> dict[str, bytes]:
    arrays = _arrays(some, rng)
    prefix = rng.choice(["", "a_"])
    return {f"{prefix}{name}.npy": _npy(array) for name, array in arrays.items()}


def structured_npz(rng: Random) -> Case:
    change = rng.choice(["valid", "spoiled", "header", "members", "zip"])
    if change in {"valid", "spoiled"}:
        return _plain(valid_npz, change, rng)
    some = drawn(rng)
    members = [(f"{name}.npy", _npy(a)) for name, a in _arrays(some, rng).items()]
    expected = "any"
    if change == "header":
        i = rng.randrange(2)
        members[i] = (members[i][0], edited(members[i][1], rng))
    if change == "members":
        expected = _other_members(members, rng)
    content = _zipped(members, rng)
    if change == "zip":
        content = _other_zip(content, rng)
    return Case({"a.npz": content}, expected, change, some)


def structured_npy(rng: Random) -> Case:
    change = rng.choice(["valid", "spoiled", "header", "missing"])
    if change in {"valid", "spoiled"}:
        return _plain(valid_npy, change, rng)
    some = drawn(rng)
    files = valid_npy(some, rng)
    name = rng.choice(list(files))
    if change == "header":
        return Case(files | {name: edited(files[name], rng)}, "any", change, some)
    first, labels = files
    kept = {first: files[first], f"other_{labels}": files[labels]}
    return Case(kept, "refused", change, some)


def edited(content: bytes, rng: Random) -> bytes:
    """Another header before the same numbers, its declared length fixed up."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    body = array.tobytes()
    dtype, shape, order = f"'{array.dtype.str}'", str(array.shape), "False"
    change = rng.choice(["dtype", "shape", "order", "header", "version", "body"])
    if change == "dtype":
        dtype = rng.choice(_DTYPES)
    if change == "shape":
        shape = rng.choice(_SHAPES)
    if change == "order":
        order = rng.choice(["True", "0", "None"])
    if change == "body":
        body = rng.choice([body[:-1], body + b"\0", b"", body * 3])
    text = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if change == "header":
        text = rng.choice(_HEADERS)
    version = rng.choice([1, 2, 3, 0, 9]) if change == "version" else 1
    header = (text + "\n").encode("latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


def _plain(write, change: str, rng: Random) -> Case:
    if change == "valid":
        some = drawn(rng)
        return Case(write(some, rng), "same", change, some)
    some, why = spoiled(rng)
    return Case(write(some, rng), "refused", why, some)


def _arrays(some: Examples, rng: Random) -> dict[str, np.ndarray]:
    values = np.asarray(some.values, order=rng.choice(["C", "C", "F"]))
    labels = some.labels
    if labels.dtype == np.int64 and labels.size and labels.min() >= 0:
        labels = labels.astype(rng.choice(["<i8", ">i4", "u1", "<f8", "<u2"]))
    if rng.random() < 0.2:
        values = values.astype(values.dtype.newbyteorder(">"))
    return {some.kind: values, "labels": labels}


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _zipped(members: list[tuple[str, bytes]], rng: Random) -> bytes:
    stream = io.BytesIO()
    method = rng.choice([0, 0, 8, 12, 14])
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            # A name given twice is one of the faults; zipfile warns when it writes one.
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.NameToInfo.pop(name, None)
            archive.writestr(info, content)
        if rng.random() < 0.1:
            archive.comment = bytes(rng.choice([1, 300, 65535]))
    return stream.getvalue()


def _other_members(members: list[tuple[str, bytes]], rng: Random) -> str:
    """Change which members there are; return what reading them must end in."""
    first, labels = members
    change = rng.choice(["double", "lost", "kinds", "path", "case", "folder", "extra"])
    if change == "double":
        members.append(rng.choice([first, labels]))
    if change == "lost":
        members.pop(rng.randrange(2))
    if change == "kinds":
        both = {"logits.npy", "probs.npy"} - {first[0]}
        members.append((both.pop(), first[1]))
    if change in {"path", "folder", "case"}:
        i = rng.randrange(2)
        name = members[i][0]
        other = {"path": f"../{name}", "folder": f"{name}/", "case": name.upper()}
        members[i] = (other[change], members[i][1])
    if change == "extra":
        members.insert(0, (rng.choice(["../x", "\x1b[2J.npy", "é" * 90, ""]), b"x"))
        return "any"
    return "refused"


def _other_zip(content: bytes, rng: Random) -> bytes:
    """Edit fields of the entries and of the central directory where they are."""
    edited = bytearray(content)
    signature, offset = rng.choice([(b"PK\1\2", 8), (b"PK\3\4", 6)])
    start = edited.find(signature)
    if rng.random() < 0.5:
        start = edited.rfind(signature)
    field = rng.choice(["flags", "method", "crc", "compressed", "size", "where", "end"])
    size = rng.choice([0, 1, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1])
    if field == "flags":
        struct.pack_into("<H", edited, start + offset, rng.choice([1, 8, 32, 64, 8192]))
    elif field == "method":
        struct.pack_into("<H", edited, start + offset + 2, rng.choice(_ZIP_METHODS))
    elif field in {"crc", "compressed", "size"}:
        where = start + offset + 8 + 4 * ["crc", "compressed", "size"].index(field)
        struct.pack_into("<I", edited, where, size)
    elif field == "where":
        struct.pack_into("<I", edited, edited.rfind(b"PK\1\2") + 42, size)
    else:
        end = edited.rfind(b"PK\5\6")
        where = end + rng.choice([8, 10, 12, 16])
        struct.pack_into("<H", edited, where, size % 65536)
    return bytes(edited)

"""Prediction files in safetensors: valid, and with another header of fixed-up size."""

import json
from random import Random

import numpy as np

from fuzzing.case import Case, Examples
from fuzzing.examples import drawn, spoiled

_NAMES = {
    "float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64", "uint8": "U8",
    "int32": "I32", "uint16": "U16", "bool": "BOOL",
}  # fmt: skip
_ODD = [
    -1, 0, 1, 3, 2**31, 2**53, 2**63, 2**64, 10**30, 1.0, 1e400, True, None, "3", [3],
    {},
]  # fmt: skip
_TEXTS = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}", b"[" * 30_000, b'{"a":' * 30_000,
    b"9" * 6000, b"\xff\xfe{}", b'{"logits": NaN}', b'{"logits": {}, "labels": {}}',
    b'{"logits": [], "labels": 1}', b"{'logits': 1}", b'{"__metadata__": 1}',
    b'{"\\ud800": 1, "logits": null, "labels": null}', b"\0" * 40,
]  # fmt: skip


def valid(some: Examples, rng: Random) -> dict[str, bytes]:
    entries, body = _entries(some, rng)
    if rng.random() < 0.3:
        entries = {"__metadata__": {"format": "np"}} | entries
    padding = b" " * rng.choice([0, 3, 8])
    return {"a.safetensors": _joined(json.dumps(entries).encode() + padding, body)}


def structured(rng: Random) -> Case:
    change = rng.choice(["valid", "spoiled", "text", "size", "double", *_CHANGES])
    if change == "spoiled":
        some, why = spoiled(rng)
        return Case(valid(some, rng), "refused", why, some)
    some = drawn(rng)
    if change == "valid":
        return Case(valid(some, rng), "same", change, some)
    entries, body = _entries(some, rng)
    expected = "refused" if change in {"text", "double"} else "any"
    if change in _CHANGES:
        expected = _CHANGES[change](entries, rng.choice([some.kind, "labels"]), rng)
    header = json.dumps(entries).encode()
    if change == "text":
        header = rng.choice(_TEXTS)
    if change == "double":
        header = header[:-1] + b', "labels": ' + rng.choice([b"{}", header]) + b"}"
    content = _joined(header, body)
    if change == "size":
        size = rng.choice([0, 1, 7, len(header) - 1, len(header) + 1, 2**20, 2**63])
        content = size.to_bytes(8, "little") + content[8:]
    return Case({"a.safetensors": content}, expected, change, some)


def _other_number(entries: dict, name: str, rng: Random) -> str:
    numbers = entries[name][rng.choice(["shape", "data_offsets"])]
    numbers[rng.randrange(len(numbers))] = rng.choice(_ODD)
    return "any"


def _other_dtype(entries: dict, name: str, rng: Random) -> str:
    odd = ["BF16", "F8_E4M3", "X", 3, None, "C64", [], {}, "F16", "BOOL"]
    entries[name]["dtype"] = rng.choice(odd)
    return "any"


def _other_entry(entries: dict, name: str, rng: Random) -> str:
    odd = [None, 1, [], "x", {"shape": 3}, entries[name] | {"shape": {}}]
    entries[name] = rng.choice(odd)
    return "refused"


_CHANGES = {"number": _other_number, "dtype": _other_dtype, "entry": _other_entry}


def _entries(some: Examples, rng: Random) -> tuple[dict, bytes]:
    labels = some.labels
    if labels.dtype == np.int64 and labels.size and labels.min() >= 0:
        labels = labels.astype(rng.choice(["int64", "int32", "uint8", "float64"]))
    arrays = [(some.kind, np.ascontiguousarray(some.values)), ("labels", labels)]
    if rng.random() < 0.3:
        arrays.append(("other", np.zeros(rng.randint(0, 5))))
    rng.shuffle(arrays)
    entries, body = {}, b""
    for name, array in arrays:
        entries[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + array.nbytes],
        }
        body += array.tobytes()
    return entries, body


def _joined(header: bytes, body: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + body

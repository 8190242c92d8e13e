"""Laws of one table over every number: what may change in the input, and what then.

Each law makes other predictions of the same examples. A measure must come out with the
same bits, or within the tolerance of the law, unless it is listed with the reason.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibench import metrics
from calibench.predictions import Predictions
from measures import MEASURES, NUM_BINS, OTHERS, SCHEMES, base, measured
from shape_checks import without_shape_checks

PAIRS = "compares examples in pairs, and a repeated example makes a pair with itself"
MORE_BINS = "counts bins up to the number of examples"
MORE_RANKS = "averages over ranks, and repeated examples have more of them"


@st.composite
def numbers(draw, kind=None, max_classes=4):
    """Logits in eighths or probabilities in 64ths: exact in float16 and bfloat16."""
    kind = kind or draw(st.sampled_from(["logits", "probs"]))
    rows, classes = draw(st.integers(1, 12)), draw(st.integers(2, max_classes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(classes, size=rows)
    if kind == "logits":
        scale = draw(st.sampled_from([1, 8, 15]))
        return kind, rng.integers(-8, 9, (rows, classes)) * scale / 8, labels
    cuts = np.sort(rng.integers(0, 65, (rows, classes - 1)), axis=1)
    return kind, np.diff(cuts, axis=1, prepend=0, append=64) / 64, labels


def made(kind, values, labels):
    return getattr(Predictions, f"from_{kind}")(values, labels)


def without_ties(given_numbers):
    _, values, _ = given_numbers
    return all(len(set(row)) == len(row) for row in values.tolist())


def order(kind, values, labels, rng):
    rows = rng.permutation(len(labels))
    return made(kind, values[rows], labels[rows])


def repetition(kind, values, labels, rng):
    times = int(rng.integers(2, 4))
    return made(kind, np.repeat(values, times, axis=0), np.repeat(labels, times))


def class_names(kind, values, labels, rng):
    classes = rng.permutation(values.shape[1])
    return made(kind, values[:, classes], np.argsort(classes)[labels])


def added_constant(kind, values, labels, rng):
    return made(kind, values + rng.integers(-16, 17, (len(labels), 1)), labels)


def one_column(kind, values, labels, rng):
    if kind == "probs":
        return made(kind, values[:, 1:], labels)
    return made(kind, values[:, 1] - values[:, 0], labels)


@dataclass(frozen=True)
class Law:
    """What is changed, on which numbers, and how far a measure may move.

    `excepted` names the functions that do not obey, with the reason.
    """

    change: object
    drawn: object = field(default_factory=numbers)
    tolerance: float = 0.0
    excepted: dict = field(default_factory=dict)


LAWS = {
    "order": Law(order),
    "repetition": Law(
        repetition,
        tolerance=1e-12,
        excepted={
            "debiased_l1": PAIRS,
            "debiased_l2": PAIRS,
            "sweep_num_bins": MORE_BINS,
            "aurc": MORE_RANKS,
            "excess_aurc": MORE_RANKS,
            "canonical_calibration_error": PAIRS,
            "squared_kernel_calibration_error": PAIRS,
        },
    ),
    "class names": Law(class_names, numbers().filter(without_ties), 1e-12),
    "added constant": Law(added_constant, numbers("logits")),
    "one column": Law(one_column, numbers("logits", max_classes=2), 1e-12),
    "one column of probabilities": Law(one_column, numbers("probs", max_classes=2)),
}


@pytest.mark.parametrize("name", LAWS)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_law(name, data, seed):
    law = LAWS[name]
    kind, values, labels = data.draw(law.drawn)
    # A column of ones under labels of 0 is refused: it is the softmax of one class.
    if name == "one column of probabilities" and values[:, 1].all() and not any(labels):
        return
    with without_shape_checks():
        here = measured(made(kind, values, labels))
        there = measured(law.change(kind, values, labels, np.random.default_rng(seed)))
    for measure, value in here.items():
        if base(measure) in law.excepted:
            continue
        if law.tolerance == 0:
            assert there[measure] == value, measure
        else:
            wanted = pytest.approx(value, rel=law.tolerance, abs=law.tolerance)
            assert there[measure] == wanted, measure


@pytest.mark.parametrize("name", [n for n, law in LAWS.items() if law.excepted])
def test_every_exception_is_needed(name):
    """Else a metric that obeys would go unwatched."""
    law = LAWS[name]
    rng = np.random.default_rng(0)
    moved = set()
    for rows in range(1, 13):
        kind, labels = "logits", rng.integers(3, size=rows)
        values = rng.normal(size=(rows, 3))
        here = measured(made(kind, values, labels))
        there = measured(law.change(kind, values, labels, rng))
        moved |= {base(m) for m in here if abs(there[m] - here[m]) > 1e-9}
    assert moved == set(law.excepted)


def big_endian(array):
    return array.astype(array.dtype.newbyteorder(">"))


def broadcast(array):
    return np.broadcast_to(array[:1], array.shape)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def reversed_twice(array):
    return np.flip(np.flip(array).copy())


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 3, axis=a.ndim - 1)[..., ::3],
    "reversed": reversed_twice,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "read-only": read_only,
    "big-endian": big_endian,
    "lists": lambda a: a.tolist(),
    "torch": torch.tensor,
    "torch, transposed": lambda a: torch.tensor(a.T.copy()).T if a.ndim == 2 else a,
    **{
        dtype: lambda a, dtype=dtype: a.astype(dtype)
        for dtype in ("float16", "float32", "longdouble", ">f2", ">f4", ">f8")
    },
    "bfloat16": lambda a: torch.tensor(a).to(torch.bfloat16),
    "float16 of torch": lambda a: torch.tensor(a).to(torch.float16),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=10)
@given(drawn=numbers())
def test_every_layout_and_dtype_has_the_bits_of_the_float64_copy(layout, drawn):
    kind, values, labels = drawn
    change = LAYOUTS[layout]
    with without_shape_checks():
        found = measured(made(kind, change(values), change(labels)))
        assert found == measured(made(kind, values, labels))


@given(drawn=numbers())
def test_a_broadcast_row_is_its_copies(drawn):
    kind, values, labels = drawn
    with without_shape_checks():
        found = measured(made(kind, broadcast(values), broadcast(labels)))
        copies = made(kind, broadcast(values).copy(), broadcast(labels).copy())
        assert found == measured(copies)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "longdouble", ">f2", ">f4", ">f8"]
)
@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_logits_that_are_rounded_are_scored_as_rounded(dtype, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(9, 3)).astype(dtype), rng.integers(3, size=9)
    with without_shape_checks():
        found = measured(Predictions.from_logits(logits, labels))
        copy = Predictions.from_logits(logits.astype(np.float64), labels)
        assert found == measured(copy)


@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_inputs_are_never_modified(kind):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(40, 3))
    values = (
        logits
        if kind == "logits"
        else Predictions.from_logits(logits, [0] * 40).probs.copy()
    )
    labels = rng.integers(3, size=40)
    kept = values.copy(), labels.copy()
    some = made(kind, values, labels)
    measured(some)
    metrics.evaluate(some, replicates=3)
    assert values.tobytes() == kept[0].tobytes()
    assert labels.tobytes() == kept[1].tobytes()
    assert values.flags.writeable
    assert labels.flags.writeable


NOT_DEBIASED = [
    name
    for name, measure in MEASURES.items()
    if "num_bins" in getattr(measure, "keywords", {}) and "debiased" not in name
]


@pytest.mark.parametrize("times", [2, 3])
@given(drawn=numbers())
def test_finer_bins_never_lower_an_error(times, drawn):
    # A coarse bin is a union of fine ones, and its gap an average of theirs.
    some = made(*drawn)
    with without_shape_checks():
        for name in NOT_DEBIASED:
            measure = MEASURES[name]
            fine = measure(some, num_bins=times * NUM_BINS)
            assert fine >= measure(some) - 1e-12, name


def test_the_table_holds_the_panel():
    """What `evaluate` reports is a measure, or is named here with its own."""
    named = {base(name) for name in MEASURES} | {
        f"top_label_ece_{scheme}" for scheme in SCHEMES
    }
    variants = {"classwise_ece_sum", "log_odds_q05", "log_odds_median", "log_odds_q95"}
    some = Predictions.from_logits(np.eye(3), [0, 1, 0])
    reported = set(metrics.evaluate(some, replicates=1).measurements)
    assert reported - named - OTHERS == variants

"""The compiled pass has the bits of numpy, and refuses what numpy refuses."""

import os
import subprocess
import sys

import numpy as np
import pytest

import calibench
from calibench.errors import DataError, ParameterError
from calibench.metrics import one_pass
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_top import TopLabelState
from calibench.predictions import Predictions

pytest.importorskip("numba", reason="the compiled pass needs the extra `fast`")

MAKE = {"logits": Predictions.from_logits, "probs": Predictions.from_probs}
CLASSES = (2, 3, 7, 8, 9, 10, 16, 17, 63, 64, 128, 136, 201, 1003)


def rows(kind, num_classes, dtype, n=70, seed=0):
    rng = np.random.default_rng(seed)
    scale = rng.choice([0.1, 2, 40], size=(n, 1))
    logits = rng.standard_normal((n, num_classes)) * scale
    labels = np.where(
        rng.random(n) < 0.6, logits.argmax(axis=1), rng.integers(num_classes, size=n)
    )
    if kind == "logits":
        return logits.astype(dtype), labels
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = (probs / probs.sum(axis=1, keepdims=True)).astype(dtype)
    probs[0] = 0
    probs[0, -1] = 1
    return probs, labels


def bits(state):
    return {name: array.tobytes() for name, array in state.to_arrays().items()}


@pytest.fixture
def compiled_only(monkeypatch):
    def refuse(*_):
        pytest.fail("numpy was asked")

    monkeypatch.setattr(one_pass, "_plain", refuse)


@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.usefixtures("compiled_only")
def test_bits_are_those_of_numpy(kind, num_classes):
    for dtype in (np.float32, np.float64):
        values, labels = rows(kind, num_classes, dtype)
        some = MAKE[kind](values, labels)
        for scope in (TopLabelState, MetricState):
            found = scope.of_arrays(values, labels, kind=kind)
            assert bits(found) == bits(scope.of(some)), (dtype, scope)


@pytest.mark.usefixtures("compiled_only")
def test_blocks_and_workers_do_not_matter():
    values, labels = rows("probs", 10, np.float32, n=10_000)
    expected = bits(MetricState.of(Predictions.from_probs(values, labels)))
    for workers in (1, 2, 5):
        found = MetricState.of_arrays(values, labels, kind="probs", workers=workers)
        assert bits(found) == expected


def test_more_workers_than_rows():
    values, labels = rows("logits", 3, np.float64, n=2)
    found = TopLabelState.of_arrays(values, labels, kind="logits", workers=7)
    assert found.num_examples == 2


@pytest.mark.parametrize("num_classes", [10, 100])
def test_every_layout_and_dtype_is_read(num_classes):
    values, labels = rows("logits", num_classes, np.float32)
    expected = bits(MetricState.of(Predictions.from_logits(values, labels)))
    wide = np.repeat(values, 2, axis=1)[:, ::2]
    backwards = np.ascontiguousarray(values[::-1])[::-1]
    for same in (np.asfortranarray(values), wide, backwards, values.astype(">f4")):
        assert bits(MetricState.of_arrays(same, labels, kind="logits")) == expected
    for same in (labels.astype(np.uint8), labels.astype(">i2"), labels.tolist()):
        assert bits(MetricState.of_arrays(values, same, kind="logits")) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.usefixtures("compiled_only")
def test_one_column_is_read_as_two(kind, dtype):
    values, labels = rows(kind, 2, dtype, n=9000)
    for one in (values[:, 1], values[:, 1:]):
        expected = bits(MetricState.of(MAKE[kind](one, labels)))
        found = MetricState.of_arrays(one, labels, kind=kind, workers=2)
        assert bits(found) == expected


def test_one_column_is_refused_as_by_numpy():
    values, labels = rows("probs", 2, np.float32)
    for at, bad in ((slice(None), 1.0), (50, np.nan), (50, -0.5), (50, 1.5)):
        one = values[:, 1].copy()
        one[at] = bad
        target = np.zeros_like(labels)
        with pytest.raises(DataError) as expected:
            Predictions.from_probs(one[:, None], target)
        with pytest.raises(DataError) as found:
            MetricState.of_arrays(one[:, None], target, kind="probs")
        assert str(found.value) == str(expected.value)
    above = np.array([0.5, np.nextafter(np.float32(1), np.float32(2))], np.float32)
    state = TopLabelState.of_arrays(above, np.array([1, 1]), kind="probs")
    expected = TopLabelState.of(Predictions.from_probs(above, [1, 1]))
    assert bits(state) == bits(expected)


@pytest.mark.parametrize("num_classes", [4, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_above_one_by_rounding_are_read_as_one(num_classes, dtype):
    values, labels = rows("probs", num_classes, dtype)
    values[5] = 0
    values[5, 2] = np.nextafter(dtype(1), dtype(2))
    some = Predictions.from_probs(values, labels)
    for scope in (TopLabelState, MetricState):
        found = scope.of_arrays(values, labels, kind="probs")
        assert bits(found) == bits(scope.of(some))


def spoiled(kind, num_classes, how):
    values, labels = rows(kind, num_classes, np.float32)
    column = num_classes // 2
    changes = {
        "nan": (values, (50, column), np.nan),
        "infinite": (values, (50, column), np.inf),
        "negative": (values, (50, column), -0.25),
        "above one": (values, (50, column), 1.25),
        "sum": (values, (50, column), values[50, column] / 2 + 0.25),
        "label below": (labels, 50, -1),
        "label above": (labels, 50, num_classes),
    }
    array, at, value = changes[how]
    array[at] = value
    return values, labels


@pytest.mark.parametrize("num_classes", [3, 10, 100])
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("logits", "nan"),
        ("logits", "infinite"),
        ("logits", "label below"),
        ("logits", "label above"),
        *[("probs", how) for how in ("nan", "infinite", "negative", "above one")],
        *[("probs", how) for how in ("sum", "label below", "label above")],
    ],
)
def test_refusals_are_those_of_numpy(kind, how, num_classes):
    values, labels = spoiled(kind, num_classes, how)
    with pytest.raises(DataError) as expected:
        MAKE[kind](values, labels)
    for scope in (TopLabelState, MetricState):
        with pytest.raises(DataError) as found:
            scope.of_arrays(values, labels, kind=kind, workers=2)
        assert str(found.value) == str(expected.value)
        assert "50" in str(found.value)


@pytest.mark.parametrize("off", [0.9e-5, 1.1e-5])
def test_a_sum_near_its_tolerance_is_judged_as_by_numpy(off):
    values, labels = rows("probs", 100, np.float32)
    values[3] = np.float32((1 + off) / 100)
    is_valid = abs(values[3].astype(np.float64).sum() - 1) <= 1e-5
    assert is_valid == (off < 1e-5)
    if is_valid:
        expected = TopLabelState.of(Predictions.from_probs(values, labels))
        found = TopLabelState.of_arrays(values, labels, kind="probs")
        assert bits(found) == bits(expected)
        return
    with pytest.raises(DataError, match="row 3"):
        TopLabelState.of_arrays(values, labels, kind="probs")


def test_without_numba_the_bits_are_the_same(monkeypatch):
    values, labels = rows("logits", 10, np.float32)
    compiled = bits(MetricState.of_arrays(values, labels, kind="logits"))
    monkeypatch.setattr(one_pass, "_kernel", lambda: None)
    assert bits(MetricState.of_arrays(values, labels, kind="logits")) == compiled


def test_a_numba_that_cannot_be_imported_is_done_without(monkeypatch):
    values, labels = rows("logits", 10, np.float32)
    compiled = bits(TopLabelState.of_arrays(values, labels, kind="logits"))
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [each for each in sys.modules if each.startswith("calibench.kernel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(calibench, "kernel")
    one_pass._kernel.cache_clear()
    try:
        assert one_pass._kernel() is None
        found = TopLabelState.of_arrays(values, labels, kind="logits")
    finally:
        one_pass._kernel.cache_clear()
    assert bits(found) == compiled


def test_code_is_compiled_where_nothing_can_be_kept():
    script = (
        "import numpy as np\n"
        "from calibench.metrics.stream_top import TopLabelState\n"
        "probs, labels = np.array([[0.75, 0.25], [1.0, 0.0]]), np.array([0, 1])\n"
        "state = TopLabelState.of_arrays(probs, labels, kind='probs')\n"
        "print(state.result()['overconfidence'])\n"
    )
    nowhere = dict(os.environ, NUMBA_CACHE_DIR="/dev/null/nowhere")
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=nowhere,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("0.5\n", 0), done.stderr


def test_inputs_are_left_alone():
    values, labels = rows("probs", 10, np.float64)
    copies = values.copy(), labels.copy()
    values.flags.writeable = labels.flags.writeable = False
    MetricState.of_arrays(values, labels, kind="probs")
    assert np.array_equal(values, copies[0])
    assert np.array_equal(labels, copies[1])


def test_parameters_are_checked():
    values, labels = rows("probs", 3, np.float64)
    with pytest.raises(ParameterError, match="Did you mean 'probs'"):
        MetricState.of_arrays(values, labels, kind="prob")
    with pytest.raises(ParameterError, match="workers must be at least 1"):
        MetricState.of_arrays(values, labels, kind="probs", workers=0)

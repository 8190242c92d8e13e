"""Where two losses differ by chance alone, a claim is seldom decided."""

import importlib
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("claim_error_rates")


@pytest.mark.parametrize(("num_seeds", "spread"), [(1, 0.0), (2, 0.3), (3, 0.3)])
def test_false_decisions_are_as_rare_as_stated(benchmark, num_seeds, spread):
    shares = benchmark.alarms(num_seeds, spread, num_examples=200, trials=150)
    # In percent: 5, with a standard deviation of 1.8.
    assert max(shares.values()) <= 10


def test_where_a_loss_is_different_it_is_seen(benchmark):
    # A test that never decides would raise no alarm, either.
    runs = benchmark.drawn(1, 0.0, 2000, np.random.default_rng(0))
    other = benchmark.drawn(1, 0.5, 2000, np.random.default_rng(0))
    runs.cells["m", "b"][0].known.update(other.cells["m", "b"][0].known)
    assert benchmark.p_value(runs, "nll") < 0.01

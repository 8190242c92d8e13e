"""The scripts behind the printed coverage, bias and speed of the panel still run."""

import importlib

import numpy as np
import pytest

from pages import ROOT, text


@pytest.fixture(scope="module")
def scripts():
    # One imports the other by name, as when it is run.
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield [
            importlib.import_module(name)
            for name in (
                "interval_coverage",
                "calibration_error_bias",
                "quick_coverage",
                "panel_speed",
            )
        ]


@pytest.fixture(scope="module")
def population(scripts):
    return scripts[0].Population(lambda z: 1.6 * z, spread=2.0, seed=0)


def test_two_trials_have_a_row_for_every_number_of_the_printed_table(
    scripts, population
):
    found = scripts[0].coverage(population, 40, 2)
    assert set(found.values()) <= {0.0, 50.0, 100.0}
    assert "ece_sweep" in found
    for name in found:
        assert f"| `{name}` | " in text("metrics.md"), name


def test_two_quick_trials_have_rows_of_the_printed_table_and_the_same_truth(
    scripts, population
):
    quick = scripts[2]
    fixed = quick.Fixed(population)
    found = quick.coverage(fixed, 150, 2)
    assert set(found.values()) <= {0.0, 50.0, 100.0}
    assert {"classwise_rms_error", "thresholded_classwise_ece"} < set(found)
    for name in found:
        assert f"| `{name}` | " in text("metrics.md"), name
    some, truth = population.draw(150, np.random.default_rng(0))
    for name in ("debiased_l2", "rms_calibration_error"):
        assert fixed.values[name] == pytest.approx(truth[name], rel=1e-9)
    # The share of each class that is off in some bin, of those above the threshold.
    assert 0.01 < fixed.above(some) < 0.2


def test_the_truth_of_the_bias_is_the_printed_one(scripts, population):
    # Too sharp by 60 %: 10.31 points in the table of its page.
    truth = scripts[1].truth(population)
    assert f"| 60 % too sharp | 300 | {100 * truth:.2f} |" in text(
        "metrics/debiased_l1.md"
    )
    means = scripts[1].estimates(population, 40, 2)
    assert means["`debiased_l1`"] < means["`top_label_ece`"]


def test_the_panel_is_timed_for_every_model(scripts, monkeypatch, capsys):
    speed = scripts[3]
    monkeypatch.setattr(speed, "REPLICATES", (3, 1))
    monkeypatch.setattr("sys.argv", ["panel_speed", "--rows", "60", "--rounds", "1"])
    speed.main()
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("| logits times | replicates | CPU s")
    assert len(rows) == 2 + 2 * len(speed.SHARPNESS)

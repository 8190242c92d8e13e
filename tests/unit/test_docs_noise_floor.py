"""The tables of docs/noise-floor.md are what the script prints."""

import importlib.util
import re

import pytest

from pages import ROOT, sections, text

SPEC = importlib.util.spec_from_file_location(
    "noise_floor_tables", ROOT / "benchmarks" / "noise_floor_tables.py"
)
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)

BY_SIZE = sections("noise-floor.md")["ECE with 15 bins, by number of examples"]
# A few million draws give two digits, and the percentile a little less.
DRAWS = 2_000_000


def rows_below(content, heading):
    """Return the rows of the first table below a heading, by their first cells."""
    table = re.search(r"(\|.*\n)+", content.partition(heading)[2])[0]
    lines = [line.strip("|").split("|") for line in table.splitlines()]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


def numbers(cell):
    return [float(part) for part in cell.split("/")]


@pytest.mark.parametrize(
    ("heading", "scheme"),
    [("Equal width:", "equal_width"), ("Equal mass:", "equal_mass")],
)
def test_a_row_is_computed_again(heading, scheme):
    printed = rows_below(BY_SIZE, heading)["1,000"]
    for accuracy, cell in [*zip(tables.ACCURACIES, printed, strict=True)][1:3]:
        found = tables.floor(accuracy, 1000, scheme=scheme, draws=DRAWS)
        assert [100 * value for value in found] == pytest.approx(
            numbers(cell), rel=0.03, abs=0.02
        )


def test_every_size_and_accuracy_is_in_the_tables():
    for heading in ("Equal width:", "Equal mass:"):
        rows = rows_below(BY_SIZE, heading)
        assert [*rows][2:] == [f"{size:,}" for size in tables.SIZES]
        assert rows["n"] == [f"{100 * each:g} %" for each in tables.ACCURACIES]


def test_the_rule_of_thumb_is_a_bound_and_not_an_idle_one():
    for accuracy in (0.945, 0.86):
        mean, high = tables.floor(accuracy, 2000, draws=DRAWS)
        most, highest = tables.rule(accuracy, 2000, 15)
        assert 0.7 * most < mean < 0.9 * most
        assert mean < high < highest
        # The percentile is one root of v / n above the mean.
        assert high == pytest.approx(mean + highest - most, rel=0.05)


def test_another_number_is_computed_again():
    rows = rows_below(text("noise-floor.md"), "## The other numbers")
    assert [*rows][2:] == [*tables.OTHERS]
    for name in ("`rms_calibration_error`", "`debiased_l1`"):
        found = tables.OTHERS[name](0.86, 1000, draws=DRAWS)
        assert [100 * value for value in found] == pytest.approx(
            numbers(rows[name][1]), rel=0.03
        )

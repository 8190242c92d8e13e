"""Every metric has its page, every page its form, and every example runs."""

import doctest
import inspect
import re

import pytest

from calibench import metrics
from calibench.metrics.definitions import definitions
from calibench.predictions import Predictions
from pages import DOCS, sections

FOLDER = DOCS / "metrics"
METRIC_PAGES = sorted(FOLDER.glob("*.md"))
HEADINGS = [
    "Definition",
    "How to read it",
    "When to use it",
    "Where libraries differ",
    "Example",
    "Source",
]


def metric_names():
    exported = {name: getattr(metrics, name) for name in metrics.__all__}
    names = {
        name
        for name, each in exported.items()
        if inspect.isfunction(each)
        and inspect.signature(each).return_annotation is float
    }
    names |= metrics.scalars(Predictions.from_probs([[1.0, 0.0]], [0])).keys()
    return names | definitions(15).keys()


def index_rows():
    """Map the names of each row of the index to the page that the row links to."""
    rows = {}
    for line in sections("metrics.md")["The metrics"].splitlines():
        found = re.match(r"\| \[((?:`\w+`(?:, )?)+)\]\(metrics/([\w.]+)\) \|", line)
        if found:
            names = tuple(re.findall(r"`(\w+)`", found[1]))
            assert names not in rows, names
            rows[names] = FOLDER / found[2]
    return rows


def test_every_metric_has_one_row_in_the_index_and_no_other_name_does():
    indexed = sorted(name for names in index_rows() for name in names)
    assert indexed == sorted(metric_names())


def test_every_row_leads_to_a_page_of_its_own_and_every_page_has_a_row():
    assert sorted(index_rows().values()) == METRIC_PAGES


@pytest.mark.parametrize("names", index_rows(), ids=lambda names: names[0])
def test_a_page_is_named_and_titled_by_its_metrics(names):
    page = index_rows()[names]
    title = page.read_text().splitlines()[0]
    assert page.stem in names
    assert title.endswith(f" ({', '.join(f'`{name}`' for name in names)})")


@pytest.mark.parametrize("page", METRIC_PAGES, ids=lambda page: page.stem)
def test_a_page_has_the_headings_in_order(page):
    assert [*sections(f"metrics/{page.name}")] == HEADINGS


@pytest.mark.parametrize("page", METRIC_PAGES, ids=lambda page: page.stem)
def test_the_example_of_a_page_runs_as_printed(page):
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted >= 4
    assert result.failed == 0

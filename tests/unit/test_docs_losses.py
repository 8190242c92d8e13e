"""Every loss has its page, and every page its form."""

import re

import pytest

from calibench.losses import LOSSES
from pages import DOCS, row_of, sections, text

HEADINGS = [
    "Definition",
    "Target confidence",
    "Where the label is uncertain",
    "Numerics and other codes",
    "Measured",
    "Source",
]


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_has_its_page_which_the_index_leads_to(kind):
    row = row_of(text("losses.md").partition("Notation")[0], kind)
    assert f"[`{kind}`](losses/{kind}.md)" in row
    title = text(f"losses/{kind}.md").splitlines()[0]
    assert title.endswith(f" (`{kind}`)")


@pytest.mark.parametrize("kind", LOSSES)
def test_a_page_has_the_headings_in_order(kind):
    found = [*sections(f"losses/{kind}.md")]
    required = [each for each in HEADINGS if each != "Measured" or each in found]
    assert found == required


@pytest.mark.parametrize("kind", LOSSES)
def test_a_page_shows_its_picture_before_the_definition(kind):
    above = text(f"losses/{kind}.md").partition("## Definition")[0]
    assert f"(../pictures/loss_{kind}.svg)" in above
    assert (DOCS / "pictures" / f"loss_{kind}.svg").is_file()


@pytest.mark.parametrize("kind", LOSSES)
def test_a_page_cites_what_the_class_cites(kind):
    source = LOSSES[kind].__doc__.partition("Source:")[2].partition(">>>")[0]
    years = re.findall(r"\b(?:19|20)\d\d\b", source)
    assert years or kind == "cross_entropy"
    assert all(year in text(f"losses/{kind}.md") for year in years)

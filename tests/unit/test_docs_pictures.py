"""Every page of a metric has its picture, and the script draws what is committed."""

import os
import re
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest

from pages import DOCS, PAGES, ROOT

FOLDER = DOCS / "pictures"
PICTURES = sorted(FOLDER.glob("*.svg"))
LARGEST = 60_000
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory):
    pinned = (ROOT / "requirements" / "constraints.txt").read_text()
    for package in ("matplotlib", "numpy"):
        if f"{package}=={version(package)}\n" not in pinned:
            pytest.skip(f"pictures are those of the pinned {package}")
    folder = tmp_path_factory.mktemp("pictures")
    script = [sys.executable, str(FOLDER / "draw.py"), "--out", str(folder)]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        script, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": paths}
    )
    return folder


def used_pictures(page):
    found = re.findall(
        r"^!\[(.{20,})\]\(([\w./]+\.svg)\)$", page.read_text(), re.MULTILINE
    )
    return [(page.parent / path).resolve() for _, path in found]


@pytest.mark.parametrize(
    "page", sorted((DOCS / "metrics").glob("*.md")), ids=lambda page: page.stem
)
def test_a_page_shows_its_picture_before_the_definition(page):
    above = page.read_text().partition("## Definition")[0]
    assert f"(../pictures/{page.stem}.svg)" in above
    assert used_pictures(page) == [FOLDER / f"{page.stem}.svg"]


def test_every_picture_is_on_a_page():
    used = {each for page in PAGES for each in used_pictures(page)}
    assert {each for each in used if each.parent == FOLDER} == set(PICTURES)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_small_dated_by_nothing_and_drawn_again_alike(picture, redrawn):
    committed, again = (path.read_text() for path in (picture, redrawn / picture.name))
    assert len(committed) < LARGEST
    assert "dc:date" not in committed
    # Names of clip paths hash numbers, whose last digits are the processor's.
    shape, same = (
        re.sub(r"p[0-9a-f]{10}", "", NUMBER.sub("0", s)) for s in (committed, again)
    )
    assert shape == same
    there, here = (np.array(NUMBER.findall(s), float) for s in (committed, again))
    np.testing.assert_allclose(here, there, rtol=0, atol=0.02)


def test_the_script_draws_every_picture(redrawn):
    assert sorted(path.name for path in redrawn.iterdir()) == [
        path.name for path in PICTURES
    ]

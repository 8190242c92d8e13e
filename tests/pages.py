"""The pages of the documentation, taken apart for the tests that check them."""

import re
from pathlib import Path

from calibench.lab.study.run import DEMO_STUDY

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "requirements" / "README.md"]
)
STUDIES = [*sorted((ROOT / "studies").glob("*.toml")), DEMO_STUDY]


def page_id(path):
    return path.relative_to(ROOT).as_posix()


def text(name):
    return (DOCS / name).read_text()


def prose(page):
    """Return a page without code and formulas, whose brackets are no links."""
    content = re.sub(
        r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    return re.sub(r"`[^`\n]*`|\$\$.*?\$\$|\$[^$]*\$", "", content, flags=re.DOTALL)


def blocks(content, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", content, flags=re.MULTILINE | re.DOTALL
    )


def sections(name):
    """Return the sections of a page by their headings of the second level."""
    parts = re.split(r"^## (.*)$", text(name), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def row_of(content, name):
    """Return the one table row whose first cell names `name`."""
    found = [
        line
        for line in content.splitlines()
        if line.startswith("|") and f"`{name}`" in line.split("|")[1]
    ]
    assert len(found) == 1, f"{len(found)} rows for {name}"
    return found[0]

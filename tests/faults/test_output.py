"""Hostile text in whatever reaches a page, a table or the terminal stays text."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest

from command_line import calibench
from report_store import CROSS_ENTROPY, FOCAL, Course, write_store

_SCRIPTS = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    "<svg onload=alert(4)>",
    "<svg><script href='//evil.example/x'/></svg>",
    "<iframe src='https://evil.example'></iframe>",
    "<object data='https://evil.example'></object>",
    "<embed src='https://evil.example'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href='https://evil.example/'>",
    "<form action='https://evil.example'><input name=x></form>",
    "<a href='javascript:alert(5)'>x</a>",
    "<math><mtext><img src=x onerror=alert(6)></mtext></math>",
    "<details open ontoggle=alert(7)>",
    "<body onload=alert(8)>",
    "<video><source onerror=alert(9)></video>",
    "<template><script>alert(10)</script></template>",
    "<noscript><img src=x></noscript>",
]
_BREAKS = [
    '"><b>',
    "'><b>",
    "--><b>",
    "<!-- <b>",
    "]]><b>",
    "</title><b>",
    "</style><b>",
    "</textarea><b>",
    "</pre></code><b>",
    "</td></tr></table><b>",
    "</svg></figure><b>",
    "&lt;b&gt;&#60;b&#62;",
    "&#x3c;script&#x3e;",
    '" onmouseover="alert(11)',
    "' onfocus='alert(12)",
    "{{ 7 * 7 }}",
    "{% for x in y %}",
    "{# comment",
    "${7 * 7}",
    "`alert(13)`",
]
_OTHERS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    "\\input{/etc/passwd}",
    "\\write18{id}",
    "%comment",
    "$x$ & y # _ ^ ~ { }",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "a\x08\x08\x08b",
    "line\nbreak: finished",
    "\u202egnp.exe",
    "\u2028\u2029",
    "\ufeff\u200b",
    "a\x00b",
]
PAYLOADS = [*_SCRIPTS, *_BREAKS, *_OTHERS]


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, and its addresses."""

    def __init__(self, page):
        super().__init__()
        self.tree, self.addresses = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tree.append((tag, tuple(sorted(name for name, _ in attributes))))
        self.addresses += [
            value
            for name, value in attributes
            if name in {"src", "href", "xlink:href", "action", "data"} and value
        ]

    def handle_endtag(self, tag):
        self.tree.append(("/", tag))


def reported(path, text):
    """Report a study with `text` wherever a text of somebody else goes."""
    courses = {
        ("resnet18", "cross_entropy", 0): Course(drift=(f"torch: {text} -> 2",)),
        ("resnet18", "focal-gamma3", 0): Course(
            sharpness=(1.0,), outcome="diverged", reason=text
        ),
        ("vgg16", "focal-gamma3", 0): Course(
            sharpness=(1.0,), outcome=None, failure=text
        ),
    }
    store = write_store(
        path, courses, losses=(CROSS_ENTROPY, FOCAL), name=text, toml=f"# {text}\n"
    )
    done = calibench("report", store.path)
    assert done.code == 0, done.err
    status = calibench("status", store.path)
    assert status.code == 0
    return store.path, done.out + done.err + status.out + status.err


@pytest.fixture(scope="module")
def benign(tmp_path_factory):
    path, _ = reported(tmp_path_factory.mktemp("benign") / "s", "plain")
    return Elements((path / "report.html").read_text()).tree


def test_there_are_sixty():
    assert len(set(PAYLOADS)) == 60


@pytest.mark.parametrize(
    "payloads", [_SCRIPTS, _BREAKS, _OTHERS], ids=["scripts", "breaks", "others"]
)
def test_hostile_text_changes_no_element_and_adds_no_address(
    benign, tmp_path, payloads
):
    path, told = reported(tmp_path / "s", " ".join(payloads))
    page = Elements((path / "report.html").read_text())
    assert page.tree == benign
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", told)
    for table in (path / "report_files").glob("*.csv"):
        cells = [
            c
            for row in csv.reader(io.StringIO(table.read_text(), newline=""))
            for c in row
        ]
        for cell in cells:
            assert not re.match(r"[=+@\t\r]", cell)
            assert not cell.startswith("-") or float(cell) < 0
    latex = (path / "report_files" / "table.tex").read_text()
    assert "\\input" not in latex
    assert "\\write18" not in latex


def test_a_payload_that_is_not_escaped_is_noticed(benign):
    for payload in ("<b>", "<script>alert(1)</script>"):
        assert Elements(payload).tree != Elements("plain").tree

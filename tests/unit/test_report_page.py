import base64
import gzip
import html
import json
import re
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from calibench.errors import ParameterError
from calibench.lab.report import write_report
from calibench.lab.report.results import ECE, ECE_SCALED, read_results
from report_store import CROSS_ENTROPY, FOCAL, Course, write_store

HOSTILE = "<img src=x onerror=alert(1)>"
TOML = f'# {HOSTILE} </pre><script>alert("toml")</script>\n'


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A study of two seeds in which one run diverged, one failed and one drifted."""
    path = tmp_path_factory.mktemp("page")
    courses = {
        ("resnet18", "cross_entropy", 0): Course(
            sharpness=(1.0, 2.0), drift=("torch: 1 -> 2",)
        ),
        ("resnet18", "cross_entropy", 1): Course(sharpness=(1.0, 2.5)),
        ("vgg16", "focal-gamma3", 1): Course(
            sharpness=(1.0,), outcome="diverged", reason=f"nan {HOSTILE}"
        ),
        ("vgg16", "cross_entropy", 1): Course(
            sharpness=(1.0,), outcome=None, failure="=cmd() is what failed"
        ),
    }
    store = write_store(path / "store", courses, seeds=(0, 1), toml=TOML)
    return store, write_report(store.path, path / "out" / "report.html")


@pytest.fixture(scope="module")
def page(written):
    return written[1].files[0].read_text()


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of table cells by row."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self._is_cell = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"} and self.rows:
            self.rows[-1].append("")
            self._is_cell = True

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self._is_cell = False

    def handle_data(self, data):
        if self._is_cell:
            self.rows[-1][-1] += data.strip().replace("\u2011", "-")

    def rows_of(self, label):
        """The rows of a loss: in the overview, then in the final table."""
        return [row for row in self.rows if row and row[0].rstrip(" *") == label]


def test_what_is_written(written):
    _, report = written
    names = [
        path.relative_to(report.files[0].parent).as_posix() for path in report.files
    ]
    assert names == [
        "report.html",
        "report_files/figure1.svg",
        "report_files/figure1.pdf",
        "report_files/table.csv",
        "report_files/table.tex",
        "report_files/metrics.csv",
        "report_files/table.json",
    ]
    assert all(path.stat().st_size > 100 for path in report.files)
    assert report.files[2].read_bytes().startswith(b"%PDF")
    assert report.table.splitlines()[1].startswith("ResNet18 cross-entropy")


def test_the_same_store_gives_the_same_bytes(written, tmp_path):
    store, first = written
    second = write_report(store.path, tmp_path / "report.html")
    for one, other in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert first.table == second.table


def test_the_numbers_shown_are_those_of_the_store(written, page):
    results = read_results(written[0].path)
    runs = results.cell("resnet18", "cross_entropy")
    glance, final = Elements(page).rows_of("cross-entropy")[:2]
    for quantity, cells in ((ECE, final), (ECE_SCALED, final)):
        low, high = sorted(100 * run.value(2, quantity) for run in runs)
        shown = f"{(low + high) / 2:.2f} ± {(high - low) / 2:.2f}"
        assert any(cell.startswith(shown) for cell in cells), (quantity, shown)
    mean = sum(100 * run.value(2, ECE) for run in runs) / 2
    assert glance[1].startswith(f"{mean:.2f}")


def test_json_says_what_the_page_says(written, page):
    content = json.loads(written[1].files[-1].read_text())
    heading = re.search(r"<h1>(.*?)</h1>", page)[1]
    plain = html.unescape(heading).replace("\u00a0", " ").replace("\u2011", "-")
    assert plain == content["headline"]


def test_the_page_is_one_file_that_loads_nothing(page):
    found = Elements(page).tags
    assert not {tag for tag, _ in found} & {"iframe", "object", "img", "form"}
    loads = [
        value
        for _, attributes in found
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href", "action", "srcset"}
    ]
    assert all(value.startswith("#") or value == "data:," for value in loads)
    assert not [n for _, a in found for n in a if n.startswith("on") or n == "style"]


def test_only_the_scripts_and_styles_of_the_page_may_run(page):
    policy = next(a["content"] for t, a in Elements(page).tags if a.get("http-equiv"))
    rules = dict(part.split(" ", 1) for part in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        hashes = [base64.b64encode(sha256(t.encode()).digest()).decode() for t in texts]
        assert rules[rule] == " ".join(f"'sha256-{each}'" for each in hashes)


def carried(page):
    text = re.search(r'id="data">([^<]*)<', page)[1]
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_the_numbers_carried_are_those_of_the_store(written, page):
    results, content = read_results(written[0].path), carried(page)
    rows = content["tables"]["rows"]
    looked_at = 0
    for k, epoch in enumerate(rows["epoch"]):
        calibrator = ("none", "temperature")[rows["after"][k]]
        model, loss = results.models[rows["model"][k]], results.losses[rows["loss"][k]]
        (run,) = [
            r for r in results.cell(model, loss.name) if r.seed == rows["seed"][k]
        ]
        stored = run.rows[epoch, "test", calibrator]
        for choice in content["menu"]:
            shown = rows[choice["metric"]][k]
            assert shown == pytest.approx(stored[choice["metric"]], rel=1e-4)
            low, high = (rows[f"{choice['metric']}_{end}"][k] for end in ("from", "to"))
            if low is not None:
                assert low - 1e-4 <= shown <= high + 1e-4, choice["metric"]
                looked_at += 1
    assert looked_at > 100


def test_the_bins_carried_add_up_to_the_stored_error(written, page):
    results, bins = read_results(written[0].path), carried(page)["tables"]["bins"]
    run = results.cell("resnet18", "cross_entropy")[0]
    own = [
        k
        for k in range(len(bins["n"]))
        if (bins["model"][k], bins["loss"][k], bins["epoch"][k], bins["after"][k])
        == (0, 0, 2, 0)
    ]
    assert sum(bins["n"][k] for k in own) == 400
    ece = sum(
        bins["share"][k] * abs(bins["confidence"][k] - bins["accuracy"][k]) for k in own
    )
    assert ece == pytest.approx(run.value(2, ECE), rel=1e-3)


def test_hostile_text_is_shown_and_inert(page):
    assert HOSTILE not in page
    assert html.escape(HOSTILE) in page
    assert "&lt;/pre&gt;&lt;script&gt;alert(&#34;toml&#34;)&lt;/script&gt;" in page


def test_ids_are_unique_and_every_reference_is_met(page):
    found = Elements(page).tags
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawn = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert set(re.findall(r"url\(#([^)]*)\)", drawn)) <= set(ids)
    targets = [a["href"][1:] for _, a in found if a.get("href", "").startswith("#")]
    assert set(targets) <= set(ids)


def test_every_figure_says_in_words_what_it_shows(page):
    figures = [a for tag, a in Elements(page).tags if tag == "svg"]
    assert all(a["role"] == "img" and a["viewbox"] for a in figures)
    labels = [a["aria-label"] for a in figures if a["aria-label"]]
    assert len(labels) == len(set(labels)) > 20
    assert any(
        "ResNet18, test ECE (%), last values: cross-entropy" in x for x in labels
    )


def test_what_did_not_end_as_planned_is_told(page):
    assert "Not every run has finished as planned" in page
    assert "seed 1 diverged after epoch 1 of 2: nan" in page
    assert "seed 1 failed after epoch 1 of 2: =cmd() is what failed" in page
    assert "resumed under other conditions: torch: 1 -&gt; 2" in page


def test_no_temperature_is_a_dash_with_its_reason(tmp_path):
    course = Course(sharpness=(1.0, -1.0))
    courses = {("vgg16", "cross_entropy", 0): course}
    write_store(tmp_path / "store", courses, models=("vgg16",))
    text = (
        write_report(tmp_path / "store", tmp_path / "report.html").files[0].read_text()
    )
    final = Elements(text).rows_of("cross-entropy")[1]
    assert "–" in final
    assert "0.00" not in final[-3:]
    assert "no finite optimum" in text


def test_without_a_posterior_the_truth_is_not_mentioned(tmp_path):
    losses = (CROSS_ENTROPY, FOCAL)
    write_store(
        tmp_path / "store", {}, models=("vgg16",), losses=losses, with_posterior=False
    )
    text = (
        write_report(tmp_path / "store", tmp_path / "report.html").files[0].read_text()
    )
    assert "Against the truth" not in text
    assert "true error" not in text.lower()


def test_a_study_under_way_has_a_report(tmp_path):
    half = Course(sharpness=(1.0,), outcome=None)
    courses = {
        ("vgg16", "cross_entropy", 0): half,
        ("vgg16", "focal-gamma3", 0): Course(sharpness=()),
    }
    write_store(tmp_path / "store", courses, models=("vgg16",))
    report = write_report(tmp_path / "store", tmp_path / "report.html")
    text = report.files[0].read_text()
    assert "Undecided" in text
    assert "0 of 2 runs finished" in text
    assert "Its numbers are those of epoch 1." in text
    assert "seed 0 has not begun" in report.table


def test_a_study_with_nothing_measured_writes_nothing(tmp_path):
    courses = {("vgg16", "cross_entropy", 0): Course(sharpness=())}
    store = tmp_path / "store"
    write_store(store, courses, models=("vgg16",), losses=(CROSS_ENTROPY,))
    with pytest.raises(ParameterError, match="has been measured yet"):
        write_report(store, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()

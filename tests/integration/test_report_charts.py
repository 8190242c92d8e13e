"""What a reader can move on the report's page, in Chromium."""

import re
import shutil

import numpy as np
import pytest

from calibench.lab.report import Beside, write_report
from calibench.lab.report.results import ECE, ECE_SCALED, NLL, TEMPERATURE, read_results
from report_store import Course, write_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]

_PATIENCE = 120_000  # milliseconds: a busy machine is slow, and that is no fault

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("charts")
    courses = {
        ("resnet18", "cross_entropy", 0): Course(sharpness=(1.0, 1.6, 2.5)),
        ("resnet18", "focal-gamma3", 0): Course(sharpness=(1.0, 0.8, 0.6)),
    }
    write_store(path / "store", courses, models=("resnet18",), epochs=3)
    images = np.zeros((400, 3, 4, 4), dtype=np.uint8)
    written = write_report(
        path / "store", path / "page.html", beside=Beside(images=images)
    )
    return read_results(path / "store"), written.files[0].as_uri()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, study):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda asked: requests.append(asked.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(study[1])
    page.wait_for_selector("html[data-ready]", state="attached")
    yield page
    assert complaints == []
    outside = [url for url in requests if not url.startswith(("data:", "blob:"))]
    assert outside == [study[1]]
    context.close()


def shown(page):
    """The table of numbers at the chosen epoch, by loss."""
    rows = page.evaluate(
        """[...document.querySelectorAll('#at-epoch tbody tr')].map(
            row => [...row.cells].map(cell => cell.textContent))"""
    )
    return {row[0]: row[1:] for row in rows}


def drawn(page, chart):
    """The shapes of a chart, as text that changes with what it draws."""
    place = page.locator(f".live[data-chart={chart}]").first
    place.scroll_into_view_if_needed()
    place.locator("svg").wait_for()
    page.wait_for_timeout(150)
    return place.evaluate(
        "e => [...e.querySelectorAll('path, line, text')].map("
        "x => [x.getAttribute('d'), x.getAttribute('transform'), x.textContent])"
    )


def is_moved(page, chart, before):
    """Whether a chart comes to show something else, in a minute or so."""
    return any(drawn(page, chart) != before for _ in range(400))


def test_the_slider_moves_everything_together(page, study):
    results, _ = study
    charts = ("over_training", "reliability", "before_and_after", "course")
    last = {chart: drawn(page, chart) for chart in charts}
    page.focus("#epoch")
    page.keyboard.press("ArrowLeft")
    for chart in charts:
        assert is_moved(page, chart, last[chart]), chart
    (run,) = results.cell("resnet18", "cross_entropy")
    cells = shown(page)["cross-entropy"]
    assert cells[1] == f"{100 * run.value(2, ECE):.2f}"
    assert cells[3] == f"{run.value(2, TEMPERATURE):.2f}"
    assert cells[4] == f"{run.value(2, NLL):.3f}"
    assert page.inner_text("#now").startswith("Epoch 2 of 3, as trained.")
    assert page.get_attribute("#epoch", "aria-valuetext") == "epoch 2"
    assert "epoch=2" in page.url


def test_metric_and_stage_are_those_of_the_store(page, study):
    results, _ = study
    (run,) = results.cell("resnet18", "focal-gamma3")
    before = drawn(page, "over_training")
    page.check("#after")
    assert shown(page)["focal (γ = 3)"][1] == f"{100 * run.value(3, ECE_SCALED):.2f}"
    assert is_moved(page, "over_training", before)
    page.uncheck("#after")
    for option in page.locator("#metric option").all():
        metric = option.get_attribute("value")
        page.select_option("#metric", metric)
        text = shown(page)["focal (γ = 3)"][1].replace("−", "-")
        stored = run.rows[3, "test", "none"][metric]
        unit = re.search(r"\((.*)\)", option.inner_text())
        scale = {"%": 100, "%²": 1e4}.get(unit[1] if unit else "", 1)
        assert float(text) == pytest.approx(scale * stored, abs=0.006)
    assert page.locator("#metric option").count() == 10


def test_a_loss_is_hidden_and_the_address_keeps_it(page, study):
    page.locator("#figure-1 .legend button[data-loss='0']").click()
    assert list(shown(page)) == ["focal (γ = 3)"]
    page.select_option("#metric", "smooth_ece")
    state = page.url.split("#")[1]
    assert "off=0" in state
    again = page.context.new_page()
    again.goto(f"{study[1]}#{state}")
    again.wait_for_selector("html[data-ready]", state="attached")
    assert list(shown(again)) == ["focal (γ = 3)"]
    assert again.input_value("#metric") == "smooth_ece"
    again.locator("#all-losses").click()
    assert len(shown(again)) == 2


def test_a_mark_tells_its_value_and_interval(page):
    drawn(page, "over_training")
    marks = page.locator(
        ".live[data-chart=over_training] .mark-symbol path[aria-label]"
    )
    marks.last.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    text = page.inner_text("#vg-tooltip-element")
    assert "95% for other test examples" in text
    assert re.search(r"\d\.\d\d to \d+\.\d\d", text)


def test_tables_sort_and_filter(page):
    table = page.locator("#table table")
    column = table.locator("thead tr:last-child th").nth(3)
    for _ in range(2):
        column.locator("button").click()
    cells = table.locator("tbody tr td:nth-child(4)").all_inner_texts()
    found = [float(re.match(r"[\d.]+", cell)[0]) for cell in cells]
    assert column.get_attribute("aria-sort") == "descending"
    assert found == sorted(found, reverse=True)
    page.locator("#table input[type=search]").fill("focal")
    visible = table.locator("tbody tr:visible th[scope=row]").all_inner_texts()
    assert visible == ["focal (γ = 3)"]


@pytest.mark.parametrize("width", [360, 600, 1200])  # 600: 1,200 at twice the size
def test_the_page_fits(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(400)
    for chart in ("over_training", "reliability", "before_and_after", "course"):
        drawn(page, chart)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


def test_print_shows_the_static_figures(page):
    assert not page.locator("#figure-1 .static svg").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator("#figure-1 .static svg").first.is_visible()
    assert (
        page.locator(".live-only:visible, .live:visible, .sorter:visible").count() == 0
    )


def test_without_scripts_everything_is_there(browser, study):
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    page.goto(study[1])
    assert page.locator("#figure-1 .static svg").first.is_visible()
    assert page.locator("#reliability .static svg").first.is_visible()
    assert not page.locator("#controls").is_visible()
    assert page.locator("#worst img").count() == 16
    context.close()


def test_charts_are_named_for_those_who_cannot_see_them(page, study):
    drawn(page, "over_training")
    label = page.get_attribute(".live[data-chart=over_training] svg", "aria-label")
    assert label.startswith("ResNet18: ")
    ece = f"{100 * study[0].runs[0].value(3, ECE):.2f}"
    assert f"ECE (%): cross-entropy {ece}; focal" in label
    named = page.evaluate(
        """[...document.querySelectorAll('input, select, button')].filter(
            e => !(e.labels?.length || e.textContent.trim()
                || e.getAttribute('aria-label'))).length"""
    )
    assert named == 0

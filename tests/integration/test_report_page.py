"""The report as a reader opens it: in Chromium, on a screen and on a phone."""

import shutil

import pytest

from calibench.lab.report import write_report
from calibench.lab.study.claims import judge
from report_store import Course, write_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("browser")
    hostile = "<script>document.title = 'broken in'</script>"
    courses = {
        ("resnet18", "cross_entropy", 0): Course(sharpness=(1.0, 2.0)),
        ("vgg16", "focal-gamma3", 0): Course(
            sharpness=(1.0,), outcome="diverged", reason=hostile
        ),
    }
    claim = {
        "name": hostile,
        "metric": "nll",
        "lower": "focal-gamma3",
        "than": "cross_entropy",
    }
    write_store(path / "store", courses, toml=f"# {hostile}", claims=[claim])
    claims = judge(path / "store").to_dict()
    return write_report(path / "store", path / "report.html", claims).files[0].as_uri()


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (400, "light")])
def opened(browser, address, request):
    """The page, with everything it asked for and everything it complained about."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda asked: requests.append(asked.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page, requests, complaints
    context.close()


def test_the_page_opens_in_peace(opened, address):
    page, requests, complaints = opened
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert page.title().startswith("small: ")


def test_the_page_fits_its_window(opened):
    page, _, _ = opened
    wide, window = page.evaluate(
        "[document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert wide <= window


def test_the_page_fits_a_sheet_of_paper(opened):
    page, _, _ = opened
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 within its margins
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"


def test_every_static_figure_is_drawn_at_a_readable_size(opened):
    page, _, _ = opened
    # As without scripts, where they stand in for those that can be moved; in one go,
    # as the script may be about to say that it is ready.
    sizes = page.evaluate(
        """() => {
            document.documentElement.classList.remove('live-page');
            const all = document.querySelectorAll('.panels > div > svg, .pair svg');
            return [...all].map(svg => {
                const text = svg.querySelector('text').getBoundingClientRect();
                const box = svg.getBoundingClientRect();
                return [box.width, box.height, text.height];
            });
        }"""
    )
    assert len(sizes) > 20
    assert all(width > 120 and height > 60 for width, height, _ in sizes)
    assert all(text >= 7 for _, _, text in sizes)


def test_text_stands_out_from_its_ground(opened):
    page, _, _ = opened
    # Luminance of ink and ground, as WCAG 2 defines contrast.
    contrast = page.evaluate(
        """() => {
            const channel = c => (c /= 255) <= .03928 ? c / 12.92
                : ((c + .055) / 1.055) ** 2.4;
            const light = color => {
                const [r, g, b] = color.match(/\\d+/g).map(Number).map(channel);
                return .2126 * r + .7152 * g + .0722 * b;
            };
            const card = light(getComputedStyle(
                document.querySelector('#figure-1 .card')).backgroundColor);
            const against = ink => {
                const pair = [light(ink), card].sort((a, b) => b - a);
                return (pair[0] + .05) / (pair[1] + .05);
            };
            return [...document.querySelectorAll('#figure-1 svg text, .caption')].map(
                e => against(getComputedStyle(e)[e.closest('svg') ? 'fill' : 'color']));
        }"""
    )
    assert min(contrast) > 4.5

"""What the page says of the claims is what was judged."""

import html
import json
import re

import pytest

from calibench.lab.report import write_report
from calibench.lab.report.claims import claim_lines
from calibench.lab.study.claims import judge
from report_store import CROSS_ENTROPY, ENTROPY, FOCAL, LP_NORM, Course, write_store

HOSTILE = "<script>alert(1)</script>"
LABELS = {
    "cross_entropy": "cross-entropy",
    "lp_norm-alpha0.05": "L1 norm (α = 0.05)",
    "focal-gamma3": "focal (γ = 3)",
    "entropy-alpha0.3": "entropy reg. (α = 0.3)",
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """The path of a store, and its claims as the command line prints them."""
    path = tmp_path_factory.mktemp("claims") / "store"
    over = Course(sharpness=(1.0, 3.0))
    courses = {(model, "cross_entropy", 0): over for model in ("resnet18", "vgg16")}
    claim = {
        "name": HOSTILE,
        "metric": "nll",
        "lower": "lp_norm-alpha0.05",
        "than": "cross_entropy",
        "calibrator": "temperature",
    }
    losses = (CROSS_ENTROPY, LP_NORM, ENTROPY, FOCAL)
    write_store(path, courses, losses=losses, claims=[claim])
    return path, json.loads(json.dumps(judge(path).to_dict()))


@pytest.fixture(scope="module")
def lines(judged):
    return {line.name: line for line in claim_lines(judged[1], LABELS).claims}


@pytest.fixture(scope="module")
def page(judged, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    write_report(judged[0], out, judged[1])
    return out


def test_every_claim_stands_before_the_rest_with_its_verdict(judged, page):
    text = page.read_text()
    first = text[: text.index('class="answer"')]
    for claim in judged[1]["claims"]:
        assert f"<b>{html.escape(claim['name'])}</b>" in first
    verdicts = re.findall(r'<span class="judged ([a-z-]+)">', first)
    assert verdicts == [
        claim["verdict"].replace(" ", "-") for claim in judged[1]["claims"]
    ]
    assert HOSTILE not in text


def test_the_numbers_of_the_page_have_the_units_they_say(judged, lines):
    for claim in judged[1]["claims"]:
        for told, each in zip(
            lines[claim["name"]].hypotheses, claim["hypotheses"], strict=True
        ):
            if "estimate" not in each:
                assert (told.estimate, told.note) == ("–", each["missing"])
                continue
            scale = 100 if "(%)" in told.text else 1
            value = float(told.estimate.replace("−", "-"))
            assert value == pytest.approx(scale * each["estimate"], abs=5.1e-3)
            assert told.verdict == each["verdict"]


def test_a_hypothesis_is_spelled_out(lines):
    texts = [each.text.replace("\u00a0", " ") for each in lines["C1"].hypotheses[:3]]
    assert texts == [
        "confidence − accuracy (%): cross-entropy > 0",
        "NLL (nats): cross-entropy, last − best epoch > 0",
        "error (%): cross-entropy, last − best epoch < 1.00",
    ]
    texts = [each.text.replace("\u00a0", " ") for each in lines["C2"].hypotheses]
    gap = "confidence − accuracy (%): entropy reg. (α = 0.3) − cross-entropy > −1.00"
    assert texts == [
        gap,
        gap,
        "change of ECE (%): entropy reg. (α = 0.3) − 2 × median of others > 0",
    ]
    (text, _) = (each.text.replace("\u00a0", " ") for each in lines[HOSTILE].hypotheses)
    assert text == (
        "NLL after temperature (nats): L1 norm (α = 0.05) − cross-entropy < 0"
    )


def test_a_claim_says_how_many_of_its_hypotheses_hold(lines):
    assert lines["C1"].note == "6 confirmed of 6; all must hold"
    assert lines["C4"].note == "2 confirmed of 2; all must hold"
    assert lines["T1"].note == "0 violations among 3,200 stored predictions"


def test_what_is_undecided_says_what_would_decide(judged, lines):
    told = [
        (line.note, each["would_decide"])
        for claim in judged[1]["claims"]
        for line, each in zip(
            lines[claim["name"]].hypotheses, claim["hypotheses"], strict=True
        )
    ]
    assert any(sizes for _, sizes in told)
    for note, sizes in told:
        assert ("would decide" in note) == bool(sizes)
        assert all(f"{size['num_examples']:,} examples" in note for size in sizes)


def test_json_has_the_claims(judged, page):
    content = json.loads((page.with_name("report_files") / "table.json").read_text())
    assert content["claims"] == judged[1]


def test_without_judged_claims_the_page_has_none(judged, tmp_path):
    write_report(judged[0], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "What is claimed" not in text
    assert 'id="claims"' not in text
    content = json.loads((tmp_path / "report_files" / "table.json").read_text())
    assert content["claims"] is None


def test_seeds_have_an_interval_of_their_own(tmp_path):
    write_store(tmp_path / "store", {}, models=("vgg16",), seeds=(0, 1))
    found = claim_lines(judge(tmp_path / "store").to_dict(), LABELS)
    assert found.scope.startswith("With 2 seeds: ")
    first = found.claims[0].hypotheses[0]
    assert re.fullmatch(r"−?[\d.]+ to −?[\d.]+", first.over_seeds)

"""What the pages say is what the code does: menus, commands, links, examples."""

import re
import tomllib
from dataclasses import MISSING, fields
from importlib.metadata import version

import pytest
import torch

from calibench.lab.data.sources import DATASETS
from calibench.lab.data.splits import SplitSizes
from calibench.lab.study.claim_spec import (
    CLAIM_CALIBRATORS,
    CLAIM_METRICS,
    OWN_NAMES,
    ClaimSpec,
)
from calibench.lab.study.load import _SCHEDULES, load_study, study_from_table
from calibench.lab.study.spec import StudySpec
from calibench.lab.training.recipe import Recipe
from calibench.losses import LOSSES
from calibench.models import MODELS, build_model, num_multiply_adds
from calibench.posthoc import CALIBRATORS
from pages import (
    DOCS,
    PAGES,
    ROOT,
    STUDIES,
    blocks,
    page_id,
    prose,
    row_of,
    sections,
    text,
)


def slugs(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), target
        assert not anchor or anchor in slugs(goal), target


def test_pages_named_in_the_sources_exist():
    for source in (ROOT / "src").rglob("*.py"):
        for name in re.findall(r"docs/[\w./-]+\.md", source.read_text()):
            assert (ROOT / name).is_file(), f"{source}: {name}"


def test_decisions_are_numbered_and_short():
    records = sorted((DOCS / "decisions").glob("*.md"))
    for number, record in enumerate(records, start=1):
        content = record.read_text()
        assert record.name.startswith(f"{number:04d}-")
        assert content.startswith(f"# {number:04d}: ")
        assert "**Decision.**" in content
        assert len(content.splitlines()) <= 60


@pytest.mark.parametrize(("kind", "cls"), LOSSES.items())
def test_every_loss_has_its_rows(kind, cls):
    for row in (
        row_of(text("losses.md").partition("Notation")[0], kind),
        row_of(sections("study-file.md")["`[[loss]]`"], kind),
    ):
        assert all(f"`{each.name}`" in row for each in fields(cls))
    assert f"`{cls.__name__}`" in row_of(
        text("losses.md").partition("Notation")[0], kind
    )


def test_every_key_and_metric_of_a_claim_is_explained():
    section = sections("study-file.md")["`[[claim]]`"]
    assert all(row_of(section, each.name) for each in fields(ClaimSpec))
    metrics = row_of(section, "metric")
    assert all(f"`{name}`" in metrics for name in CLAIM_METRICS)
    calibrators = row_of(section, "calibrator")
    assert all(f'`"{name}"`' in calibrators for name in CLAIM_CALIBRATORS)


@pytest.mark.parametrize("name", OWN_NAMES)
def test_every_claim_that_comes_with_us_has_its_row(name):
    assert f"| {name} |" in sections("claims.md")["What is claimed"]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_its_section_and_counts(name):
    assert f"`{name}`" in sections("models.md")
    with torch.device("meta"):
        model = build_model(name, 10, seed=0)
    row = row_of(text("models.md"), name)
    counts = (
        sum(parameter.numel() for parameter in model.parameters()),
        num_multiply_adds(model, (3, 32, 32)),
        num_multiply_adds(model, (3, 16, 16)),
    )
    assert [cell.strip() for cell in row.split("|")[2:5]] == [f"{n:,}" for n in counts]


@pytest.mark.parametrize("width", [64, 16, 8])
def test_counts_of_narrow_models(width):
    cells = []
    costs = []
    for name in MODELS:
        with torch.device("meta"):
            model = build_model(name, 10, width=width, seed=0)
        cells.append(f"{sum(p.numel() for p in model.parameters()):,}")
        costs.append(f"{num_multiply_adds(model, (3, 16, 16)):,}")
    assert f"| {width} | {' | '.join(cells)} | {'; '.join(costs)} |" in text(
        "models.md"
    )


@pytest.mark.parametrize(("name", "cls"), CALIBRATORS.items())
def test_every_calibrator_has_its_section(name, cls):
    assert f"`{cls.__name__}`" in sections("posthoc.md")[f"`{name}`"]


@pytest.mark.parametrize(("kind", "cls"), DATASETS.items())
@pytest.mark.parametrize("page", ["data.md", "study-file.md"])
def test_every_data_set_has_its_row(page, kind, cls):
    row = row_of(text(page), kind)
    keys = [each for each in fields(cls) if each.name != "kind"]
    assert all(f"`{each.name}`" in row for each in keys)
    for each in keys:
        if isinstance(each.default, (int, float)) and not isinstance(
            each.default, bool
        ):
            assert f"`{each.name}` {each.default}" in row


@pytest.mark.parametrize("heading", ["[splits]", "[train]"])
def test_every_key_of_a_table_has_its_row_and_default(heading):
    cls = {"[splits]": SplitSizes, "[train]": Recipe}[heading]
    content = sections("study-file.md")[f"`{heading}`"]
    study = StudySpec.__dataclass_fields__["splits"].default_factory()
    for each in fields(cls):
        said = row_of(content, each.name).split("|")[-2].strip(" `")
        default = getattr(study, each.name) if cls is SplitSizes else each.default
        if default is MISSING:
            said_default = {"epochs": "required", "schedule": '"cosine"'}[each.name]
            assert said == said_default
        elif default is not None:
            assert tomllib.loads(f"x = {said}")["x"] == default


@pytest.mark.parametrize(("kind", "cls"), _SCHEDULES.items())
def test_every_schedule_has_its_row(kind, cls):
    row = row_of(sections("study-file.md")["`[train.schedule]`"], kind)
    for each in fields(cls):
        if each.name != "kind":
            default = each.default
            shown = list(default) if isinstance(default, tuple) else f"{default:g}"
            assert f"`{each.name}` {shown}" in row


def test_the_complete_example_is_a_study_with_every_key():
    table = tomllib.loads(blocks(text("study-file.md"), "toml")[0])
    study = study_from_table(table, source="docs/study-file.md")
    assert len(study.runs()) == 16
    assert set(table["train"]) == {each.name for each in fields(Recipe)}
    assert set(table["splits"]) == {each.name for each in fields(SplitSizes)}
    assert {each["kind"] for each in table["loss"]} >= {"lp_norm", "focal"}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_a_study_states_cost_and_expectation(path):
    header = re.match(r"(#.*\n)+", path.read_text())[0]
    assert re.search(r"minutes|hour", header)
    assert "Expect: " in header
    assert load_study(path).runs()


def test_citation_agrees_with_the_package():
    citation = (ROOT / "CITATION.cff").read_text()
    said = dict(re.findall(r'^([\w-]+): *"?([^"\n]+)"?$', citation, flags=re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert said["cff-version"] == "1.2.0"
    assert said["version"] == project["version"] == version("calibench")
    assert said["license"] == project["license"]
    assert {"message", "title", "authors", "type"} <= {
        line.partition(":")[0] for line in citation.splitlines()
    }
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()
    assert "**Numerics**" in (ROOT / "CHANGELOG.md").read_text()

"""The page: one HTML file that needs nothing else and asks for nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from calibench.lab.report import method
from calibench.lab.report.charts import Chart, Charts
from calibench.lab.report.claims import ClaimLines
from calibench.lab.report.columns import RECALIBRATED, Column, shown_columns
from calibench.lab.report.explorer import Explorer
from calibench.lab.report.judged import Judged
from calibench.lab.report.people import YardstickLines
from calibench.lab.report.ranking import Ranking
from calibench.lab.report.results import ECE, LossEntry, StudyResults
from calibench.lab.report.scripts import charts_script, own_script, own_style, policy
from calibench.lab.report.summary import NLL_REFINEMENT, FinalRow, standing
from calibench.lab.report.verdict import Verdict, direction
from calibench.lab.report.wording import (
    counted,
    decimal,
    model_label,
    model_list,
    unbroken,
)
from calibench.lab.report.worst import WorstAnswers

_ARROWS = {
    "over": ("▲", "over-confident"),
    "under": ("▼", "under-confident"),
    "mixed": ("◆", "over- and under-confident"),
    "chance": ("°", "inside the noise floor"),
    "none": ("", ""),
}


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything that the page shows.

    Attributes:
        by_ece: The ranking of each model.
        judged: The runs whose reliability is drawn.
        labels: The name of each loss.
        explorer: What can be explored.
        claims: None where none were judged.
        worst: The surest wrong answers, where images are at hand.
        without_images: Why there are none, where they were asked for.
        yardstick: Of people's answers or another truth, where one was given.
    """

    results: StudyResults
    rows: Sequence[FinalRow]
    by_ece: Sequence[Ranking]
    verdict: Verdict
    judged: Sequence[Judged]
    labels: Mapping[str, str]
    explorer: Explorer
    claims: ClaimLines | None = None
    worst: Sequence[WorstAnswers] = ()
    without_images: str = ""
    yardstick: YardstickLines | None = None


@dataclass(frozen=True)
class Glance:
    """A cell of the overview: an ECE with its mark."""

    text: str
    mark: str
    meaning: str
    rank: str


def page(content: Content, charts: Charts) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("calibench.lab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["model"] = model_label
    environment.filters["unbroken"] = unbroken
    environment.filters["groups"] = _groups
    template = environment.get_template("report.html.jinja")
    scripts = [charts_script(), own_script("report.js"), own_script("tables.js")]
    css = own_style()
    return template.render(
        **_context(content, charts),
        explorer=content.explorer,
        scripts=scripts,
        css=css,
        policy=policy(scripts, [css]),
    )


def _context(content: Content, charts: Charts) -> dict[str, Any]:
    results = content.results
    knows_posterior = results.knows_posterior
    columns = shown_columns(knows_posterior=knows_posterior)
    ended = sum(run.outcome == "finished" for run in results.runs)
    return {
        "study": results.name,
        "question": _question(results),
        "progress": f"{ended} of {len(results.runs)} runs finished",
        "verdict": content.verdict,
        "claims": content.claims,
        "worst": content.worst,
        "without_images": content.without_images,
        "yardstick": content.yardstick,
        "models": results.models,
        "losses": results.losses,
        "labels": content.labels,
        "samples": charts.samples(),
        "glance": _glances(content),
        "columns": columns,
        "recalibrated": _recalibrated(content.rows),
        "parts": _parts(charts) if _has_parts(results) else (),
        "rows": content.rows,
        "by_model": {
            model: [row for row in content.rows if row.model == model]
            for model in results.models
        },
        "standings": _standings(results),
        "figure1": charts.over_training("ece", "Figure 1", _FIGURE1),
        "truth": charts.truth(content.rows) if knows_posterior else (),
        "true_error": _true_error(charts) if knows_posterior else None,
        "facts": _facts(results),
        "diagrams": charts.diagrams(content.judged),
        "several_seeds": len(results.seeds) > 1,
        "training": _training(charts),
        "sentences": method.recipe_sentences(results),
        "coefficients": [
            _coefficients(loss, content.labels) for loss in results.losses
        ],
        "definitions": _definitions(knows_posterior=knows_posterior),
        "limits": method.limits(results),
        "provenance": method.provenance(results),
        "toml": results.toml,
        "num_test": results.num_examples("test") or 0,
    }


def _question(results: StudyResults) -> str:
    models = model_list(results.models)
    return f"Which loss leaves {models} with confidence that can be trusted?"


def _glances(content: Content) -> dict[str, dict[str, Glance]]:
    """Return the overview by loss and model."""
    ranked = {ranking.model: ranking for ranking in content.by_ece}
    found: dict[str, dict[str, Glance]] = {}
    for row in content.rows:
        value = row.mean(ECE)
        mark, meaning = _ARROWS[direction(row)]
        found.setdefault(row.loss.name, {})[row.model] = Glance(
            text="–" if value is None else decimal(100 * value, 2),
            mark=mark,
            meaning=meaning,
            rank=_rank(row, ranked.get(row.model)),
        )
    return found


def _rank(row: FinalRow, ranking: Ranking | None) -> str:
    if ranking is None or not row.is_final:
        return "unranked"
    if row is ranking.best:
        return "best"
    if row in ranking.ties:
        return "tied"
    return "beaten" if row in ranking.rows else "unranked"


def _groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Return the groups of columns with how many columns each has."""
    names = [column.group for column in columns]
    return [(name, names.count(name)) for name in dict.fromkeys(names)]


def _recalibrated(rows: Sequence[FinalRow]) -> Sequence[Column]:
    """Return the columns that have a value; stores of before have few."""
    return [
        column
        for column in RECALIBRATED
        if any(row.mean(column.quantity) is not None for row in rows)
    ]


def _has_parts(results: StudyResults) -> bool:
    return any(run.series(NLL_REFINEMENT) for run in results.runs)


def _parts(charts: Charts) -> list[Chart]:
    return [
        charts.over_training("refinement", "Refinement over training", _REFINEMENT),
        charts.over_training("calibration", "Calibration over training", _CALIBRATION),
    ]


def _standings(results: StudyResults) -> list[dict[str, str]]:
    """Return what is to be said of the runs that did not end as planned."""
    told = []
    for run in results.runs:
        notes = [standing(run, results.epochs)] if run.outcome != "waiting" else []
        notes += [f"resumed under other conditions: {'; '.join(d)}" for d in run.drifts]
        if any(notes):
            text = "; ".join(note for note in notes if note)
            told.append({"run_id": run.folder.run_id, "text": text})
    waiting = sum(run.outcome == "waiting" for run in results.runs)
    if waiting:
        verb = "has" if waiting == 1 else "have"
        told.append(
            {"run_id": "", "text": f"{counted(waiting, 'run')} {verb} not begun"}
        )
    return told


def _true_error(charts: Charts) -> Chart:
    return charts.over_training("true", "True error over training", _TRUE_ERROR)


def _training(charts: Charts) -> list[Chart]:
    return [
        charts.over_training("nll", "NLL", _NLL),
        charts.over_training("error", "Error", _ERROR),
        charts.over_training("temperature", "Temperature", _TEMPERATURE),
        charts.over_training("gap", "Over- or under-confident", _GAP),
        charts.over_training("scaled", "ECE after temperature scaling", _SCALED),
    ]


def _facts(results: StudyResults) -> list[str]:
    facts = results.dataset.get("facts", {})
    told = []
    if "bayes_accuracy" in facts:
        told.append(f"best possible accuracy {100 * facts['bayes_accuracy']:.1f}%")
    if "best_nll" in facts:
        told.append(f"best possible NLL {facts['best_nll']:.3f} nats")
    return told


def _coefficients(loss: LossEntry, labels: Mapping[str, str]) -> dict[str, str]:
    target = loss.target_confidence
    values = [
        f"{name} = {format(value, 'g') if isinstance(value, float) else value}"
        for name, value in loss.parameters.items()
        if value is not False
    ]
    return {
        "name": loss.name,
        "label": labels[loss.name],
        "formula": method.formula(loss.kind),
        "parameters": ", ".join(values),
        "target": "–" if target is None else f"{target:.4f}",
    }


def _definitions(*, knows_posterior: bool) -> list[tuple[str, str, str]]:
    more = [method.TRUE_ERROR_DEFINITION] if knows_posterior else []
    return [*method.DEFINITIONS, *more]


_FIGURE1 = (
    "Test ECE after each epoch. A band spans the lowest to the highest seed where "
    "there are several. Gray: up to the noise floor, below which a perfectly "
    "calibrated model would stay in 95 of 100 test sets (the highest over losses); "
    "dotted, what it shows on average. A cross ends a run that diverged."
)
_TRUE_ERROR = (
    "Mean |P(predicted class | x) − confidence| over the test examples, after each "
    "epoch."
)
_NLL = (
    "Test NLL after each epoch. Where it turns up while the error below does not, the "
    "model grows over-confident."
)
_ERROR = "Share of test examples whose predicted class is not the label."
_TEMPERATURE = (
    "The temperature with the lowest NLL on the calibration split. Above 1 the logits "
    "are too large (over-confident), below 1 too small. No point: no finite optimum."
)
_REFINEMENT = (
    "Test NLL that one temperature cannot take away, fitted on nine tenths of the test "
    "examples for the tenth: how well the network tells the classes apart."
)
_CALIBRATION = (
    "What that temperature takes away from the test NLL. Above 0 it would help."
)
_GAP = (
    "Mean confidence minus accuracy. Above 0 is over-confident, below under-confident."
)
_SCALED = "Test ECE when each epoch's logits are divided by that epoch's temperature."

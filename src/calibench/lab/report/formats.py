"""The final table as text, CSV and LaTeX, and every number of the report as JSON."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from calibench.lab.report.columns import Column
from calibench.lab.report.comparison import Comparison
from calibench.lab.report.results import StudyResults
from calibench.lab.report.summary import QUANTITIES, Estimate, FinalRow
from calibench.lab.report.wording import model_label

_WIDEST_LOSS = 24
_WIDEST_MODEL = 10
_KEY = (
    "In %, but NLL in nats and T. Right of the bar: after temperature scaling.\n"
    "floor: 95th percentile of ECE by chance; ° marks what chance explains (p >= 0.05)."
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_KEYS = ("epoch", "split", "calibrator")  # what a stored row of metrics is of
_FORMULA = ("=", "+", "-", "@")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "∞": r"$\infty$",
    "α": r"$\alpha$",
    "γ": r"$\gamma$",
    "ε": r"$\varepsilon$",
} | {sign: f"\\{sign}" for sign in "&%$#_"}


def text_table(
    rows: Sequence[FinalRow], columns: Sequence[Column], labels: Mapping[str, str]
) -> str:
    """Return the table for a terminal, at most 110 columns wide; means only."""
    columns = [column for column in columns if column.short]
    heads = ["model", "loss", *(column.short for column in columns)]
    body = [
        [
            _cut(model_label(row.model), _WIDEST_MODEL),
            _cut(labels[row.loss.name], _WIDEST_LOSS),
        ]
        + [column.cell(row, with_range=False) for column in columns]
        for row in rows
    ]
    cells = [[_plain(cell) for cell in line] for line in [heads, *body]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    first_scaled = next(
        (i for i, c in enumerate(columns) if c.group != columns[0].group), len(columns)
    )
    lines = [_aligned(line, widths, bar_before=2 + first_scaled) for line in cells]
    notes = [
        f"{model_label(row.model)}, {labels[row.loss.name]}: {'; '.join(row.notes)}"
        for row in rows
        if row.notes
    ]
    return "\n".join([*lines, _KEY, *(_plain(note) for note in notes)])


def _aligned(line: Sequence[str], widths: Sequence[int], bar_before: int) -> str:
    parts = []
    for place, (cell, width) in enumerate(zip(line, widths, strict=True)):
        if place == bar_before:
            parts.append("|")
        parts.append(cell.ljust(width) if place < 2 else cell.rjust(width))
    return " ".join(parts).rstrip()


def _cut(label: str, widest: int) -> str:
    return label if len(label) <= widest else label[: widest - 1] + "…"


def _plain(text: str) -> str:
    """Replace control characters, which could steer a terminal or break a line."""
    return _CONTROL.sub(" ", text)


def csv_table(rows: Sequence[FinalRow]) -> str:
    """Return every final number in full: mean, lowest and highest seed; fractions."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    names = [f"{q.key}{s}" for q in QUANTITIES for s in ("", "_min", "_max")]
    head = ["model", "loss", "loss_kind", "target_confidence", "seeds", "epoch"]
    writer.writerow([*head, *names, "notes"])
    for row in rows:
        writer.writerow([_safe(cell) for cell in _csv_cells(row)])
    return buffer.getvalue()


def metrics_csv(results: StudyResults) -> str:
    """Return every metric of every epoch, a line for each split and calibrator."""
    runs = [(run, key, row) for run in results.runs for key, row in run.rows.items()]
    numbers = sorted({name for _, _, row in runs for name in row} - set(_KEYS))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["model", "loss", "seed", *_KEYS, *numbers])
    for run, key, row in runs:
        cells = [run.model, run.loss, run.seed, *key, *map(row.get, numbers)]
        writer.writerow([_safe(cell) for cell in cells])
    return buffer.getvalue()


def _csv_cells(row: FinalRow) -> list[object]:
    numbers: list[object] = []
    for quantity in QUANTITIES:
        found = row.estimates.get(quantity)
        numbers += [found.mean, found.low, found.high] if found else [None] * 3
    notes = [*row.notes, *(f"{q.key}: {why}" for q, why in row.absences.items())]
    return [
        row.model,
        row.loss.name,
        row.loss.kind,
        row.loss.target_confidence,
        " ".join(map(str, row.seeds)),
        row.epoch,
        *numbers,
        "; ".join(dict.fromkeys(notes)),
    ]


def _safe(cell: object) -> object:
    """Keep a spreadsheet from reading text as a formula; numbers stay numbers."""
    if not isinstance(cell, str):
        return cell
    text = _plain(cell).strip()
    return f"'{text}" if text.startswith(_FORMULA) else text


def latex_table(
    rows: Sequence[FinalRow], columns: Sequence[Column], labels: Mapping[str, str]
) -> str:
    """Return the table as a LaTeX tabular, for the package booktabs."""
    scaled = sum(column.group != columns[0].group for column in columns)
    plain = len(columns) - scaled
    heads = " & ".join(_latex(f"{c.heading}{_unit(c)}") for c in columns)
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{ll{'r' * len(columns)}}}",
        "\\toprule",
        f" & & \\multicolumn{{{plain}}}{{c}}{{as trained}} & "
        f"\\multicolumn{{{scaled}}}{{c}}{{after temperature scaling}} \\\\",
        f"\\cmidrule(lr){{3-{2 + plain}}} "
        f"\\cmidrule(lr){{{3 + plain}-{2 + len(columns)}}}",
        f"model & loss & {heads} \\\\",
    ]
    before = None
    for row in rows:
        if row.model != before:
            lines.append("\\midrule")
        name = _latex(model_label(row.model)) if row.model != before else ""
        before = row.model
        cells = " & ".join(_latex(column.cell(row)) for column in columns)
        lines.append(f"{name} & {_latex(labels[row.loss.name])} & {cells} \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _unit(column: Column) -> str:
    return f" ({column.unit})" if column.unit else ""


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in _plain(text))


def json_numbers(
    results: StudyResults,
    rows: Sequence[FinalRow],
    comparisons: Sequence[Comparison],
    headline: str,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Return the report's numbers as JSON: fractions, nothing rounded."""
    content = {
        "study": results.name,
        "headline": headline,
        "claims": claims,
        "num_test_examples": results.num_examples("test"),
        "dataset": dict(results.dataset),
        "final": [_row_values(row) for row in rows],
        "comparisons": [_comparison_values(each) for each in comparisons],
    }
    return json.dumps(content, indent=1, sort_keys=False, allow_nan=False) + "\n"


def _row_values(row: FinalRow) -> dict[str, Any]:
    return {
        "model": row.model,
        "loss": row.loss.name,
        "target_confidence": row.loss.target_confidence,
        "seeds": list(row.seeds),
        "epoch": row.epoch,
        "is_final": row.is_final,
        "notes": list(row.notes),
        "values": {q.key: _estimate(e) for q, e in row.estimates.items()},
        "absences": {q.key: reason for q, reason in row.absences.items()},
    }


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {"mean": estimate.mean, "min": estimate.low, "max": estimate.high}


def _comparison_values(each: Comparison) -> dict[str, Any]:
    return {
        "quantity": each.quantity.key,
        "model": each.model,
        "first": each.first,
        "second": each.second,
        "second_minus_first": each.difference,
        "standard_error": each.standard_error,
        "p_value_holm": each.p_value,
        "seeds": list(each.seeds),
        "signs_agree": each.signs_agree,
        "is_told_apart": each.is_told_apart,
    }

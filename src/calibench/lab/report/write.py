"""From a store to its report: what `calibench report` does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibench.lab.report.charts import Charts
from calibench.lab.report.claims import claim_lines
from calibench.lab.report.columns import shown_columns
from calibench.lab.report.comparison import Comparison, compared
from calibench.lab.report.explorer import explorer
from calibench.lab.report.formats import (
    csv_table,
    json_numbers,
    latex_table,
    metrics_csv,
    text_table,
)
from calibench.lab.report.joined import joined
from calibench.lab.report.judged import Judged, judged
from calibench.lab.report.page import Content, page
from calibench.lab.report.people import yardstick_lines
from calibench.lab.report.ranking import learned, rankings
from calibench.lab.report.results import (
    ECE,
    ECE_SCALED,
    NLL,
    TRUE_ERROR,
    TRUE_ERROR_SCALED,
    StudyResults,
    read_results,
)
from calibench.lab.report.summary import FinalRow, final_rows
from calibench.lab.report.verdict import verdict
from calibench.lab.report.wording import loss_labels
from calibench.lab.report.worst import Images, worst_answers
from calibench.lab.store.files import write_bytes

_COMPARED = (ECE, ECE_SCALED, NLL, TRUE_ERROR, TRUE_ERROR_SCALED)


@dataclass(frozen=True)
class WrittenReport:
    """What was written.

    Attributes:
        table: The final table as text, for a terminal.
        files: The page first, then its companions.
    """

    table: str
    files: list[Path]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What a report shows that its store does not hold.

    Attributes:
        images: Those of the whole test split, in the order of the data set.
        without_images: Why there are none.
        yardstick: What `calibench truth --json` prints of the store.
    """

    images: Images | None = None
    without_images: str = ""
    yardstick: Mapping[str, Any] | None = None


_NOTHING = Beside()


def write_report(
    store_path: Path,
    out: Path,
    claims: Mapping[str, Any] | None = None,
    beside: Beside = _NOTHING,
) -> WrittenReport:
    """Write the page, and beside it a folder with Figure 1 and the table for a paper.

    The folder is named like the page: `report_files/` beside `report.html`. The same
    store gives the same bytes; a study that is still running gives a report so far.

    Args:
        store_path: The store.
        out: The page to write.
        claims: The judged claims, as `calibench claims --json` prints them; None for a
            page without.
        beside: What else to show that is not in the store.

    Raises:
        ParameterError: `store_path` is not a store, or nothing was measured yet.
        IntegrityError: A stored file is not what was written.
        ResourceError: The disk is full, the folder is read-only, ...
    """
    return write_results(read_results(store_path), out, claims, beside)


def write_comparison(store_paths: Sequence[Path], out: Path) -> WrittenReport:
    """Write one page about several studies of the same test examples.

    Args:
        store_paths: Two stores or more.
        out: The page to write; its companions stand beside it, as of a report.

    Raises:
        ParameterError: A path is not a store, nothing was measured in one, or they
            were tested on other examples.
        IntegrityError: A stored file is not what was written.
        ResourceError: The disk is full, the folder is read-only, ...
    """
    return write_results(joined([read_results(path) for path in store_paths]), out)


def write_results(
    results: StudyResults,
    out: Path,
    claims: Mapping[str, Any] | None = None,
    beside: Beside = _NOTHING,
) -> WrittenReport:
    """Write the page of results that have been read; see `write_report`."""
    rows = final_rows(results)
    competing = learned(rows, len(results.dataset["class_names"]))
    last = _last_predictions(results, rows)
    comparisons = _comparisons(last, competing)
    ranked = {
        quantity.key: rankings(competing, _of(comparisons, quantity.key), quantity)
        for quantity in _COMPARED
    }
    labels = loss_labels(results.losses)
    content = Content(
        results=results,
        rows=rows,
        by_ece=ranked[ECE.key],
        verdict=verdict(results, rows, ranked, labels),
        judged=last,
        labels=labels,
        explorer=explorer(results, labels, last),
        claims=None if claims is None else claim_lines(claims, labels),
        worst=[]
        if beside.images is None
        else worst_answers(results, last, labels, beside.images),
        without_images=beside.without_images,
        yardstick=None
        if beside.yardstick is None
        else yardstick_lines(beside.yardstick, labels),
    )
    charts = Charts(results, labels)
    columns = shown_columns(knows_posterior=results.knows_posterior)
    svg, pdf = charts.figure1()
    companions = {
        "figure1.svg": svg,
        "figure1.pdf": pdf,
        "table.csv": csv_table(rows).encode(),
        "table.tex": latex_table(rows, columns, labels).encode(),
        "metrics.csv": metrics_csv(results).encode(),
        "table.json": json_numbers(
            results, rows, comparisons, content.verdict.headline, claims
        ).encode(),
    }
    write_bytes(out, page(content, charts).encode())
    folder = out.with_name(f"{out.stem}_files")
    for name, data in companions.items():
        write_bytes(folder / name, data)
    return WrittenReport(
        table=text_table(rows, columns, labels),
        files=[out, *(folder / name for name in companions)],
    )


def _last_predictions(results: StudyResults, rows: list[FinalRow]) -> list[Judged]:
    """Read the predictions that the final table rests on, where they were kept."""
    found = []
    for row in rows:
        for run in results.cell(row.model, row.loss.name):
            if row.epoch is not None and run.seed in row.seeds:
                one = judged(run, row.epoch)
                if one is not None:
                    found.append(one)
    return found


def _comparisons(last: list[Judged], competing: list[FinalRow]) -> list[Comparison]:
    cells = {(row.model, row.loss.name) for row in competing}
    kept = [one for one in last if (one.run.model, one.run.loss) in cells]
    return [each for quantity in _COMPARED for each in compared(kept, quantity)]


def _of(comparisons: list[Comparison], key: str) -> list[Comparison]:
    return [each for each in comparisons if each.quantity.key == key]

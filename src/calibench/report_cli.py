"""The commands that write pages about stores."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibench.data_cli import DataDir, data_dir
from calibench.errors import CalibenchError
from calibench.printing import AsJson, printable

if TYPE_CHECKING:
    import numpy as np

    from calibench.lab.report import WrittenReport

_NO_IMAGES = "The images themselves are not shown: {}."


def report(
    store: Annotated[Path, typer.Argument(help="Store that a study was run in.")],
    out: Annotated[
        Path | None, typer.Option(help="Page to write (default: DIR/report.html).")
    ] = None,
    data: DataDir = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="Posterior or counts of the test split: a second yardstick."),
    ] = None,
    truth_kind: Annotated[
        str | None, typer.Option(help="posterior or counts, if the file does not say.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write the report: a page, Figure 1 as SVG and PDF, the table as CSV and LaTeX."""
    from calibench.lab.data.truth_files import read_truth
    from calibench.lab.study.against_truth import against_truth

    yardstick = None
    if truth is not None:
        yardstick = against_truth(store, read_truth(truth, kind=truth_kind)).to_dict()
    write_page(
        store, out or store / "report.html", data, yardstick=yardstick, as_json=as_json
    )


def write_page(
    store: Path,
    out: Path,
    data: Path | None = None,
    *,
    yardstick: dict[str, object] | None = None,
    as_json: bool = False,
) -> None:
    """Write the report of a store and say what was written."""
    from calibench.lab.report import Beside, write_report
    from calibench.lab.study.claims import judge

    images = _test_images(store, data_dir(data))
    beside = Beside(
        images=None if isinstance(images, str) else images,
        without_images=images if isinstance(images, str) else "",
        yardstick=yardstick,
    )
    _say(write_report(store, out, judge(store).to_dict(), beside), as_json=as_json)


def compare(
    stores: Annotated[
        list[Path], typer.Argument(help="Stores of studies on the same test examples.")
    ],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("compare.html"),
    *,
    as_json: AsJson = False,
) -> None:
    """Write one report about several studies: their losses side by side, paired."""
    from calibench.lab.report import write_comparison

    _say(write_comparison(stores, out), as_json=as_json)


def _say(written: "WrittenReport", *, as_json: bool) -> None:
    if as_json:
        (numbers,) = (path for path in written.files if path.suffix == ".json")
        typer.echo(numbers.read_text(encoding="utf-8"), nl=False)
    else:
        typer.echo(written.table)
    sys.stderr.write("\n")
    for path in written.files:
        sys.stderr.write(printable(f"wrote {path}") + "\n")


def _test_images(store: Path, folder: Path) -> "np.ndarray | str":
    """Return the images that the runs were tested on, or why there are none."""
    from calibench.lab.data.sources import DATASETS
    from calibench.lab.store import Store

    found = Store.existing(store)
    about = dict(found.study()["spec"]["dataset"])
    kind = about.pop("kind")
    begun = [run for run in found.runs() if run.history().has_begun]
    if kind not in DATASETS or not begun:
        return _NO_IMAGES.format("the code that reads them is the study's own")
    try:
        dataset = DATASETS[kind](**about).load(folder)
    except (CalibenchError, OSError):
        # Without the reason: it names folders, and a page is the same everywhere.
        reason = "the data set was not there when this page was made (--data DIR)"
        return _NO_IMAGES.format(reason)
    if dataset.digest != begun[0].manifest()["dataset"]["digest"]:
        return _NO_IMAGES.format("the data set was not the one of the runs")
    return dataset.test.images

"""The commands that measure files of predictions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibench.printing import AsJson, print_content

if TYPE_CHECKING:
    from calibench.lab.comparison import FileComparison
    from calibench.lab.evaluation import FileEvaluation
    from calibench.lab.evaluation_request import Request

Files = Annotated[
    list[str], typer.Argument(help="Files, folders and globs of predictions.")
]
Kind = Annotated[
    str | None, typer.Option(help="logits or probs, where a file does not say.")
]


def evaluate(
    files: Files,
    *,
    kind: Kind = None,
    bins: Annotated[int, typer.Option(help="Bins of the binned metrics.")] = 15,
    by: Annotated[str | None, typer.Option(help="Column that names groups.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Column that says how often each row is there.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="Others to compare with.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="The posterior of the examples, or counts.")
    ] = None,
    truth_kind: Annotated[
        str | None, typer.Option(help="posterior or counts, where no name says so.")
    ] = None,
    canonical: Annotated[
        bool, typer.Option("--canonical", help="Add kernel estimates for all classes.")
    ] = False,
    one_pass: Annotated[
        bool, typer.Option("--one-pass", help="Read large files once: no temperature.")
    ] = False,
    on: Annotated[str, typer.Option(help="Where to run: local or ray.")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; with --on ray, cores.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster that runs.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Page to write about one file as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the calibration of the predictions in files, or compare it."""
    from calibench.lab.engines import Engine
    from calibench.lab.evaluation import evaluate_as_asked
    from calibench.lab.evaluation_request import Request
    from calibench.lab.file_states import Pass
    from calibench.lab.pass_display import show_pass

    engine = Engine(on, workers, ray_address)
    request = Request(
        kind=kind,
        num_bins=bins,
        by=by,
        weights=weights,
        against=against,
        truth=truth,
        truth_kind=truth_kind,
        canonical=canonical,
        one_pass=one_pass,
    )
    if html is not None:
        _check_page(files, request)
    with show_pass() as watch:
        found = evaluate_as_asked(files, request, Pass(engine, watch))
    if html is not None:
        _write_page(html, files[0], request, found)
    print_content(found.to_dict() if as_json else found.text(), as_json=as_json)


def _check_page(files: list[str], request: "Request") -> None:
    from calibench.errors import ParameterError

    if len(files) != 1 or not Path(files[0]).is_file():
        msg = f"--html is about one file of predictions, got {' '.join(files)}."
        raise ParameterError(msg)
    if request.against is not None or request.weights is not None:
        msg = "--html goes with neither --against nor --weights. Leave one out."
        raise ParameterError(msg)


def _write_page(
    out: Path,
    path: str,
    request: "Request",
    found: "FileEvaluation | FileComparison",
) -> None:
    from calibench.lab.data.prediction_files import read_predictions
    from calibench.lab.evaluation import FileEvaluation
    from calibench.lab.report import write_predictions_page

    if isinstance(found, FileEvaluation):
        some = read_predictions(path, kind=request.kind)
        write_predictions_page(out, Path(path).name, found.overall, some)


def definitions(
    files: Files,
    kind: Kind = None,
    bins: Annotated[int, typer.Option(help="Bins to ask each library for.")] = 15,
    *,
    as_json: AsJson = False,
) -> None:
    """Say what other libraries compute on the same predictions, and why it differs."""
    from calibench.lab.definitions import define_files

    found = define_files(files, kind=kind, num_bins=bins)
    print_content(found.to_dict() if as_json else found.text(), as_json=as_json)

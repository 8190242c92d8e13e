"""The commands `calibrate fit` and `calibrate apply`, thin like the rest."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from calibench.printing import AsJson, print_content

calibrate_app = typer.Typer(no_args_is_help=True)

PredictionFile = Annotated[Path, typer.Argument(help="Predictions, in .npz or .csv.")]
Kind = Annotated[
    str | None, typer.Option(help="logits or probs, where the file does not say.")
]


@calibrate_app.command("fit")
def calibrate_fit(
    file: PredictionFile,
    method: Annotated[str, typer.Option(help="Name of a calibrator.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    kind: Kind = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, as NAME=VALUE.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Column that says how often each row is there.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Fit a calibrator on held-out predictions and keep it."""
    from calibench.lab.calibration import fit_file

    fitted = fit_file(file, out, method, settings or [], kind=kind, weights=weights)
    _print(fitted, out, as_json=as_json)


@calibrate_app.command("apply")
def calibrate_apply(
    calibrator: Annotated[Path, typer.Argument(help="What `calibrate fit` wrote.")],
    file: PredictionFile,
    out: Annotated[Path, typer.Option(help="File to write: .npz, .csv or .parquet.")],
    kind: Kind = None,
    in_sample: Annotated[
        bool, typer.Option(help="Allow the rows that it was fitted on.")
    ] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """Apply a kept calibrator to other predictions and write them."""
    from calibench.lab.calibration import apply_file

    applied = apply_file(calibrator, file, out, kind=kind, in_sample=in_sample)
    _print(applied, out, as_json=as_json)


def _print(facts: dict[str, Any], out: Path, *, as_json: bool) -> None:
    if as_json:
        # JSON has no infinity; null says that there is no number to give.
        finite = {
            name: None if isinstance(value, float) and math.isinf(value) else value
            for name, value in facts.items()
        }
        print_content(finite, as_json=True)
    else:
        typer.echo(
            f"{facts['method']}: {facts['n']:,} examples, NLL "
            f"{facts['nll_before']:.6f} before, {facts['nll_after']:.6f} after"
        )
    typer.echo(f"wrote {out}", err=True)

"""The commands `data list`, `data fetch` and `data verify`, thin like the rest."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from calibench.printing import AsJson, print_rows

data_app = typer.Typer(no_args_is_help=True)

DataDir = Annotated[
    Path | None,
    typer.Option("--data", help="Where data sets lie (default: $CALIBENCH_DATA)."),
]
DatasetName = Annotated[str, typer.Argument(help="A name from `data list`.")]


@data_app.command("list")
def data_list(data: DataDir = None, *, as_json: AsJson = False) -> None:
    """Name every data set, and whether it is at hand."""
    from calibench.lab.data.catalog import list_datasets

    _print_states(list_datasets(data_dir(data)), as_json=as_json)


@data_app.command("fetch")
def data_fetch(
    name: DatasetName,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Archive, folder or URL (default: its mirrors)."),
    ] = None,
    data: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Download a data set, or take it from a file; check it and keep it."""
    from calibench.lab.data.catalog import fetch
    from calibench.lab.data.download_display import show_download

    with show_download() as progress:
        state = fetch(name, data_dir(data), source=source, progress=progress)
    _print_states([state], as_json=as_json)


@data_app.command("verify")
def data_verify(
    name: DatasetName, data: DataDir = None, *, as_json: AsJson = False
) -> None:
    """Check a data set against the hashes kept with it."""
    from calibench.lab.data.catalog import verify as verify_dataset

    _print_states([verify_dataset(name, data_dir(data))], as_json=as_json)


def data_dir(given: Path | None) -> Path:
    """Return the folder of data sets that was asked for, or the usual one."""
    from calibench.lab.data.catalog import default_data_dir

    return given or default_data_dir()


def _print_states(states: Iterable[Any], *, as_json: bool) -> None:
    print_rows(
        [asdict(state) | {"facts": dict(state.facts)} for state in states],
        as_json=as_json,
    )

"""What every command prints on stdout: text for people, JSON for programs."""

import json
from typing import Annotated, Any

import typer

from calibench.lab.text_table import text_table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_content(content: Any, *, as_json: bool) -> None:  # noqa: ANN401 - JSON, or text
    """Print JSON values as JSON, text as it is."""
    typer.echo(json.dumps(content, indent=1) if as_json else content)


def print_rows(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows as JSON or as a table."""
    print_content(rows if as_json else text_table(rows), as_json=as_json)

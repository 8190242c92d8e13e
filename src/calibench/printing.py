"""What every command prints on stdout: text for people, JSON for programs."""

import json
from typing import Annotated, Any

import typer

from calibench.lab.text_table import text_table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def printable(text: str) -> str:
    r"""Text of which no character steers a terminal, wherever it came from.

    >>> printable("a\x1b[2Jb\nc")
    'a?[2Jb\nc'
    """
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def print_content(content: Any, *, as_json: bool) -> None:  # noqa: ANN401 - JSON, or text
    """Print JSON values as JSON, text as it is."""
    typer.echo(json.dumps(content, indent=1) if as_json else printable(content))


def print_rows(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows as JSON or as a table."""
    print_content(rows if as_json else text_table(rows), as_json=as_json)

"""Show a download's progress: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from calibench.lab.data import download

_LINE_SHARE = 0.1  # of the file, between two plain lines


@contextmanager
def show_download() -> Iterator[Callable[[download.Progress], None]]:
    """Yield what `fetch` reports its progress to; everything goes to stderr."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _PlainLines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("download", visible=False)

        def show(progress: download.Progress) -> None:
            if progress.trouble:
                console.print(progress.trouble, markup=False, highlight=False)
            bar.update(
                task, completed=progress.done, total=progress.total, visible=True
            )

        yield show


class _PlainLines:
    """Writes a line for each tenth of the file, and for each trouble."""

    def __init__(self) -> None:
        self._next_share = 0.0

    def __call__(self, progress: download.Progress) -> None:
        share = progress.done / max(progress.total, 1)
        if progress.trouble:
            sys.stderr.write(f"{progress.trouble}\n")
        if share >= self._next_share:
            sys.stderr.write(
                f"{progress.url}: {progress.done / 1e6:.1f} of "
                f"{progress.total / 1e6:.1f} MB\n"
            )
            self._next_share = share + _LINE_SHARE

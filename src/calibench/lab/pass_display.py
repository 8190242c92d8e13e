"""Show how far a long pass over files is: a bar on a terminal, nothing elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from calibench.lab.file_states import PassProgress, Watch

# A pass that ends sooner shows nothing.
_PATIENCE = 1.5


@contextmanager
def show_pass(console: Console | None = None) -> Iterator[Watch]:
    """Yield what a pass reports its progress to; everything goes to stderr."""
    console = console or Console(file=sys.stderr)
    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.fields[rows]} rows"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]} rows/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("pass", rows="0", rate="0")

    def show(progress: PassProgress) -> None:
        seconds = time.monotonic() - started
        if not console.is_terminal or seconds < _PATIENCE:
            return
        bar.update(
            task,
            completed=progress.size,
            total=progress.total,
            rows=f"{progress.rows:,}",
            rate=f"{progress.rows / seconds:,.0f}",
        )
        bar.start()

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()

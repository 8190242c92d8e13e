"""Show a study's progress: bars on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from calibench.lab.study.events import Event


def show_progress(
    events: Iterable[Event], *, num_runs: int, num_epochs: int, done_epochs: int
) -> list[Event]:
    """Consume the events of a launch on stderr; return those that ended a run."""
    console = Console(file=sys.stderr)
    if console.is_terminal:
        return _bars(events, console, num_runs * num_epochs, num_epochs, done_epochs)
    return _lines(events, num_epochs)


def _bars(
    events: Iterable[Event],
    console: Console,
    total: int,
    num_epochs: int,
    done_epochs: int,
) -> list[Event]:
    ended: list[Event] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} epochs"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        overall = progress.add_task("all runs", total=total, completed=done_epochs)
        bars: dict[str, TaskID] = {}
        for event in events:
            if event.kind == "started":
                bars[event.run_id] = progress.add_task(event.run_id, total=num_epochs)
            elif event.kind == "epoch":
                progress.update(bars[event.run_id], completed=event.epoch)
                progress.advance(overall)
            elif event.kind == "lost":
                progress.console.print(_loss(event), highlight=False, markup=False)
            else:
                ended.append(event)
                if event.run_id in bars:
                    progress.remove_task(bars[event.run_id])
                progress.console.print(_ending(event), highlight=False, markup=False)
    return ended


def _lines(events: Iterable[Event], num_epochs: int) -> list[Event]:
    ended = []
    for event in events:
        if event.kind == "started":
            line = f"{event.run_id}: started"
        elif event.kind == "epoch":
            line = f"{event.run_id}: epoch {event.epoch} of {num_epochs}"
        elif event.kind == "lost":
            line = _loss(event)
        else:
            ended.append(event)
            line = _ending(event)
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    return ended


def _loss(event: Event) -> str:
    return f"{event.run_id}: begun again, since {event.reason}"


def _ending(event: Event) -> str:
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.run_id}: {event.outcome}{reason}"

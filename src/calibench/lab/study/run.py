"""Carry out a whole study: what `calibench run` does."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from calibench.errors import IntegrityError
from calibench.lab.data.batches import check_shares
from calibench.lab.data.sources import DatasetShape
from calibench.lab.store import History, RunFolder, Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.events import RunEngine
from calibench.lab.study.load import load_study
from calibench.lab.study.memory_formats import choose_formats
from calibench.lab.study.plan import planned
from calibench.lab.study.progress import show_progress
from calibench.lab.study.shard import Shard
from calibench.lab.training.devices import check_precision
from calibench.lab.training.memory_format import check_format
from calibench.lab.training.ranks import check_ranks
from calibench.lab.training.step import check_way

DEMO_STUDY = Path(__file__).with_name("demo.toml")


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """Which study is asked for.

    Attributes:
        study: Its file.
        store: The folder that keeps it.
        shard: The share of its runs.
    """

    study: Path
    store: Path
    shard: Shard = field(default_factory=Shard)


def run_study(
    request: StudyRequest,
    conditions: Conditions,
    engine: RunEngine,
    *,
    is_stopping: Callable[[], bool],
    talk: Callable[[str], None],
) -> int:
    """Run what of a share is not finished yet; return the exit code of the share.

    Raises:
        ParameterError: The study is not valid, or the store is another study's.
    """
    study = load_study(request.study, allow_code=conditions.allow_code)
    device = engine.device(conditions.device)
    check_precision(study.train.precision, device)
    check_way(conditions.step or "eager", device, conditions.ranks)
    check_ranks(conditions.ranks, device)
    check_shares(study.train.batch_size, conditions.ranks)
    if conditions.memory_format is not None:
        check_format(conditions.memory_format)
    # Loaded here once, so that a missing archive is said once, and at once.
    shape = DatasetShape.of(study.dataset.load(conditions.data))
    plan = planned(study, shape)
    store = Store.prepared(
        request.store,
        {
            "name": study.name,
            "spec": study.to_dict(),
            "runs": [run.run_id for run in study.runs()],
        },
        request.study.read_text(encoding="utf-8"),
    )
    conditions = replace(conditions, device=device.type)
    choose_formats(study, shape, store, conditions, is_stopping=is_stopping)
    mine = request.shard.run_ids(plan.runs)
    asked = [run_id for run_id in plan.costliest_first() if run_id in mine]
    before = {run_id: _history(store.run(run_id)) for run_id in asked}
    waiting = [run_id for run_id in asked if not before[run_id].is_over]
    if len(waiting) < len(before):
        diverged = sum(each.outcome == "diverged" for each in before.values())
        note = f", {diverged} of them diverged: see `status`" if diverged else ""
        talk(f"{len(before) - len(waiting)} of {len(before)} runs are done{note}.")
    ended = show_progress(
        engine.launch(store, waiting, conditions, is_stopping=is_stopping),
        num_runs=len(before),
        num_epochs=study.train.epochs,
        done_epochs=sum(history.last_epoch for history in before.values()),
    )
    if len(ended) < len(waiting) or "interrupted" in {e.outcome for e in ended}:
        talk("interrupted; everything committed is kept. Run the same command again.")
        return 75
    outcomes = [*(h.outcome for h in before.values()), *(e.outcome for e in ended)]
    return _exit_code(outcomes, {event.exit_code for event in ended} - {0})


def _history(folder: RunFolder) -> History:
    """Return a run's history; an empty one where it cannot be read.

    Such a run is begun like any other, and fails with the reason: the rest go on.
    """
    try:
        return folder.history()
    except IntegrityError:
        return History(())


def _exit_code(outcomes: list[str], failures: set[int]) -> int:
    """Return 0, the one code that every failed run shares, or 1."""
    if "diverged" in outcomes:
        return 1
    return failures.pop() if len(failures) == 1 else int(bool(failures))

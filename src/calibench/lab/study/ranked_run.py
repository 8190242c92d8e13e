"""Carry out one run on several ranks: the first stores, the others compute with it."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import BaseContext
from pathlib import Path

from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import execute, follow
from calibench.lab.study.rank_group import Group
from calibench.lab.training.devices import chosen_device
from calibench.lab.training.ranks import Ranks


def execute_on_ranks(
    store: Store,
    run_id: str,
    conditions: Conditions,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Train and evaluate a run on `conditions.ranks` processes until it ends.

    Raises:
        RankError: One of them was killed.
        CalibenchError: What `execute` raises.
    """
    group = Group(
        conditions.ranks,
        chosen_device(conditions.device).type,
        _context(),
    )
    group.run(_be_one, (store.path, run_id, conditions), is_stopping)


def _be_one(
    path: Path, run_id: str, conditions: Conditions, is_stopping: Callable[[], bool]
) -> None:
    part = execute if Ranks.here().index == 0 else follow
    part(Store(path), run_id, conditions, is_stopping=is_stopping)


def _context() -> BaseContext:
    """Return a way to start processes that import torch once, whatever their number."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["calibench.lab.study.execute", "torch._dynamo"])
    return context

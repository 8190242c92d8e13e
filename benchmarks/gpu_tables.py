"""The figures of `gpu_study.py` as Markdown tables for docs/performance.md."""

from collections.abc import Iterable, Sequence
from typing import Any


def tables(found: dict[str, Any]) -> str:
    """Return what has been measured so far; what has not is not mentioned."""
    parts = [_machine(found), _steps(found), _plain(found), _profile(found)]
    parts += [_beside(found)]
    return "\n".join([*parts, _runs(found)])


def _machine(found: dict[str, Any]) -> str:
    lines = [f"{name} {value}" for name, value in found["machine"].items()]
    peaks = [
        f"{name} matrix product {value / 1e12:.3g} TFLOP/s"
        for name, value in found.get("peak", {}).items()
    ]
    return "; ".join([*lines, *peaks]) + ".\n"


def _steps(found: dict[str, Any]) -> str:
    rows = []
    for model, kinds in found.get("steps", {}).items():
        first = next(iter(kinds.values()))
        for name, row in kinds.items():
            dtype = "bfloat16" if row["precision"] == "bfloat16" else "float32"
            peak = found.get("peak", {}).get(dtype)
            share = "" if peak is None else f"{row['flops_per_s'] / peak:.0%}"
            rows.append(
                [
                    model,
                    name,
                    f"{row['ms']:.3g}",
                    f"{row['images_per_s']:.0f}",
                    f"{row['epoch_s']:.3g}",
                    f"{first['ms'] / row['ms']:.2f}",
                    share,
                ]
            )
    heads = ["", "step", "ms", "images/s", "s an epoch", "x eager", "of the peak"]
    return _table(heads, rows)


def _plain(found: dict[str, Any]) -> str:
    rows = []
    for model, seconds in found.get("plain", {}).items():
        steps = found.get("steps", {}).get(model, {})
        for name, row in steps.items():
            ratio = f"{seconds / row['epoch_s']:.2f}"
            rows.append([model, name, f"{seconds:.3g}", f"{row['epoch_s']:.3g}", ratio])
    heads = ["", "step", "plain loop, s an epoch", "calibench, s", "ratio"]
    return _table(heads, rows)


def _profile(found: dict[str, Any]) -> str:
    rows = [
        [
            model,
            f"`{row['kernel']}`",
            f"{row['share']:.1%}",
            f"{row['calls_per_step']:.3g}",
            f"{row['us_per_step']:.3g}",
        ]
        for model, kernels in found.get("profile", {}).items()
        for row in kernels
    ]
    return _table(["", "kernel", "share", "calls a step", "us a step"], rows)


def _beside(found: dict[str, Any]) -> str:
    rows = []
    for model, counts in found.get("beside", {}).items():
        alone = next(iter(counts.values()))
        rows += [
            [model, count, f"{speed:.0f}", f"{speed / alone:.2f}"]
            for count, speed in counts.items()
        ]
    return _table(["", "processes", "images/s together", "x the first"], rows)


def _runs(found: dict[str, Any]) -> str:
    runs = found.get("runs", {})
    names = ("train", "infer", "measure", "commit")
    rows = [
        [run_id, str(row["epochs"]), *(f"{row.get(name, 0):.3g}" for name in names)]
        for run_id, row in runs.get("epochs", {}).items()
    ]
    table = _table(["run", "epochs", *(f"{name}, s" for name in names)], rows)
    if "seconds" in runs:
        return f"{table}\nAll runs took {runs['seconds']:.0f} s.\n"
    return table


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    if not rows:
        return ""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"

"""Do losses of one target confidence have one course? `collapse.py STORE`.

Prints, for each model, the last epoch of every loss; which pairs of one target are told
apart; and how much of the spread of the gap and of ECE, epoch by epoch, goes with the
target, with the form of the penalty, and with neither.
"""

import sys
from collections.abc import Mapping
from itertools import combinations, groupby
from pathlib import Path

import numpy as np

from calibench import metrics
from calibench.lab.store import RunFolder, Store
from calibench.lab.store.examples import predictions_of
from calibench.metrics.paired import holm, of_mean
from calibench.predictions import Predictions

_REPLICATES = 20_000
_SPREAD_EPOCHS = (1, 3, 5, 10, 15, 20, 25, 30)

Runs = Mapping[str, RunFolder]


def main(path: Path) -> None:
    """Print the tables of a store of equal_strength."""
    store = Store.existing(path)
    finished = [f for f in store.runs() if f.history().outcome == "finished"]

    def model(folder: RunFolder) -> str:
        return folder.manifest()["run"]["model"]

    for name, folders in groupby(finished, key=model):
        runs = {f.manifest()["run"]["loss"]["name"]: f for f in folders}
        _say(f"\n{name}")
        _last_epochs(runs)
        _told_apart(runs)
        # LogitNorm trains the softmax of other logits than those that are judged.
        judged = {k: run for k, run in runs.items() if not k.startswith("logitnorm")}
        _shares(runs, "confidence_gap", "five penalties")
        _shares(judged, "confidence_gap", "without LogitNorm")
        _shares(judged, "top_label_ece", "without LogitNorm")


def _target_of(loss: str) -> str:
    return loss.rpartition("-")[2] if loss.rpartition("-")[2].isdigit() else "-"


def _test(folder: RunFolder, epoch: int | None = None) -> Predictions:
    epoch = epoch or folder.history().last_epoch
    return predictions_of(folder.predictions(epoch), "test")


def _last_epochs(runs: Runs) -> None:
    _say("loss: error, gap, ECE (95 %), its floor; after temperature: T, ECE, NLL")
    for name, folder in runs.items():
        some = _test(folder)
        found = metrics.evaluate(some).measurements
        rows = {
            row["calibrator"]: row
            for row in folder.rows(folder.history().last_epoch)
            if row["split"] == "test"
        }
        after = rows["temperature"]
        cells = [
            f"{100 * metrics.error_rate(some):.1f}",
            _percent(found["confidence_gap"]),
            _percent(found["top_label_ece"]),
            f"{100 * found['top_label_ece'].floor.p95:.1f}",
            f"{after['temperature']:.2f}",
            f"{100 * after['top_label_ece']:.1f}",
            f"{after['nll']:.3f}",
        ]
        _say(f"| {name} | {' | '.join(cells)} |")


def _percent(each: metrics.Measurement) -> str:
    low, high = each.interval
    return f"{100 * each.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _told_apart(runs: Runs) -> None:
    """Compare the gaps of all pairs of one target, paired over test examples."""
    gaps = {}
    for name, folder in runs.items():
        some = _test(folder)
        gaps[name] = some.confidence - some.correct
    pairs = [
        pair
        for pair in combinations(gaps, 2)
        if _target_of(pair[0]) == _target_of(pair[1]) != "-"
    ]
    outcomes = [of_mean(gaps[b] - gaps[a], replicates=_REPLICATES) for a, b in pairs]
    adjusted = holm([each.p_value for each in outcomes])
    for target in ("99", "95", "90"):
        here = [p for pair, p in zip(pairs, adjusted, strict=True) if target in pair[0]]
        values = [
            100 * g.mean() for name, g in gaps.items() if _target_of(name) == target
        ]
        _say(
            f"target .{target}: gaps {min(values):.1f} to {max(values):.1f} points, "
            f"{sum(p <= 0.05 for p in here)} of {len(here)} pairs told apart"
        )


def _shares(runs: Runs, metric: str, which: str) -> None:
    """Divide the spread over penalties x targets into its two margins and a rest."""
    rows = {name: folder.all_rows() for name, folder in runs.items()}
    forms = list(
        dict.fromkeys(n.rpartition("-")[0] for n in runs if _target_of(n) != "-")
    )
    _say(f"{metric}, {which}: epoch, spread in points, % by target, form, neither")
    for epoch in _SPREAD_EPOCHS:
        table = np.array(
            [
                [
                    _value(rows[f"{form}-{target}"], epoch, metric)
                    for target in (99, 95, 90)
                ]
                for form in forms
            ]
        )
        off = table - table.mean()
        by_form = off.mean(axis=1, keepdims=True)
        by_target = off.mean(axis=0, keepdims=True)
        rest = off - by_form - by_target
        whole = (off**2).mean()
        parts = [100 * (part**2).mean() / whole for part in (by_target, by_form, rest)]
        spread = 100 * np.sqrt(whole)
        _say(
            f"| {epoch} | {spread:.1f} | "
            + " | ".join(f"{p:.0f}" for p in parts)
            + " |"
        )


def _value(rows: list, epoch: int, metric: str) -> float:
    (row,) = (
        row
        for row in rows
        if (row["epoch"], row["split"], row["calibrator"]) == (epoch, "test", "none")
    )
    return row[metric]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

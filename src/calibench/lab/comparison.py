"""Compare the predictions of two sets of files on the same examples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibench import metrics
from calibench.lab.data.prediction_source import without_credentials
from calibench.lab.data.prediction_stream import joined, stream_predictions
from calibench.lab.text_table import text_table
from calibench.metrics import Comparison, Difference


@dataclass(frozen=True)
class FileComparison:
    """What was found between two sets of files.

    Attributes:
        first: The files of the first set, as they were given.
        second: Those of the second.
        comparison: The differences, second minus first.
    """

    first: str
    second: str
    comparison: Comparison

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"first": self.first, "second": self.second} | self.comparison.to_dict()

    def text(self) -> str:
        """As lines for a terminal."""
        found = self.comparison
        percent = f"{found.level:.0%}"
        rows = [_row(name, d, percent) for name, d in found.differences.items()]
        names = text_table(
            [
                {"set": "first", "predictions": self.first},
                {"set": "second", "predictions": self.second},
            ]
        )
        head = f"{found.n} examples of {found.num_classes} classes"
        table = f"{head}; change: second minus first\n{text_table(rows)}"
        return f"{found.verdict}\n\n{names}\n\n{table}"


def compare_files(
    files: Sequence[Path | str],
    against: Path | str,
    *,
    kind: str | None = None,
    num_bins: int = 15,
    weights: str | None = None,
) -> FileComparison:
    """Compare the predictions of files with others on the same examples, in memory.

    Args:
        files: Files, folders and globs: one data set, the first.
        against: A file, folder or glob: the second, its examples in the same order.
        kind: "logits" or "probs", where a file holds both.
        num_bins: How many bins for the binned metrics.
        weights: A column that says how often each example is there, in both sets.

    Raises:
        DataError: The contents are no predictions, or not of the same examples.
        ParameterError: `kind` or `num_bins` is not valid, or a file is given twice.
        ResourceError: A file may not be read.
    """
    first, second = (
        joined(list(stream_predictions(given, kind=kind, weights=weights)))
        for given in (files, [against])
    )
    return FileComparison(
        first=", ".join(map(without_credentials, files)),
        second=without_credentials(against),
        comparison=metrics.compare(first, second, num_bins=num_bins),
    )


def _row(name: str, each: Difference, percent: str) -> dict[str, Any]:
    low, high = each.interval or (None, None)
    return {
        "metric": name,
        "first": None if math.isnan(each.first) else each.first,
        "second": None if math.isnan(each.second) else each.second,
        "change": each.value,
        f"{percent} from": low,
        "to": high,
        "p": _p_value(each.p_value),
    }


def _p_value(p_value: float | None) -> str | None:
    # Four decimals would call every small one 0.
    if p_value is None:
        return None
    return f"{p_value:.2g}" if p_value > 1e-300 else "< 1e-300"

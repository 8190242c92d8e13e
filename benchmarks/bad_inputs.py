"""Which libraries return a finite number for predictions that have none.

    python benchmarks/bad_inputs.py

Each case is a sound set of 40 predictions of three classes with one fault. A contender
that raises has refused it; one that returns NaN has at least not invented a number.
Libraries that are not installed (extra `compat`) are left out. Prints a Markdown table:
"number" where a finite number came back. Takes seconds.
"""

import contextlib
import importlib.metadata
import io
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from calibench import metrics
from calibench.predictions import Predictions


@dataclass(frozen=True)
class Given:
    """What a library is handed."""

    probs: np.ndarray
    labels: np.ndarray
    num_bins: int = 10

    @property
    def top(self) -> tuple[np.ndarray, np.ndarray]:
        """Confidence and correctness, where a library wants these."""
        return self.probs.max(axis=1), self.probs.argmax(axis=1) == self.labels


def sound() -> Given:
    """Predictions that every library takes."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 40)
    return Given(probs, rng.integers(3, size=40))


def cases() -> dict[str, Given]:
    """Inputs that must be refused, by what is wrong with them."""
    good = sound()

    def entry(*row: float) -> Given:
        probs = good.probs.copy()
        probs[7] = row
        return replace(good, probs=probs)

    def label(value: float) -> Given:
        labels = good.labels.astype(np.asarray(value).dtype)
        labels[7] = value
        return replace(good, labels=labels)

    return {
        "a probability is NaN": entry(np.nan, 0.5, 0.5),
        "a probability is infinite": entry(np.inf, 0.0, 0.0),
        "a probability is negative": entry(0.9, 0.3, -0.2),
        "a probability is above 1": entry(1.5, 0.0, 0.0),
        "a row sums to 0.8": entry(0.6, 0.1, 0.1),
        "logits, said to be probabilities": replace(good, probs=np.log(good.probs)),
        "a label is 3 of 3 classes": label(3),
        "a label is -1": label(-1),
        "a label is 0.5": label(0.5),
        "a label is NaN": label(np.nan),
        "one label too few": replace(good, labels=good.labels[:-1]),
        "no examples": Given(np.empty((0, 3)), np.empty(0, dtype=np.int64)),
        "one class": Given(np.ones((40, 1)), np.zeros(40, dtype=np.int64)),
        "0 bins": replace(good, num_bins=0),
        "-1 bins": replace(good, num_bins=-1),
    }


def ours(given: Given) -> float:
    """What calibench says."""
    some = Predictions.from_probs(given.probs, given.labels)
    return metrics.top_label_ece(some, num_bins=given.num_bins)


def torchmetrics(given: Given) -> float:
    """What MulticlassCalibrationError says."""
    import torch  # noqa: PLC0415 - optional, like every import below
    from torchmetrics.classification import (  # noqa: PLC0415
        MulticlassCalibrationError,
    )

    error = MulticlassCalibrationError(given.probs.shape[1], n_bins=given.num_bins)
    return float(error(torch.tensor(given.probs), torch.tensor(given.labels)))


def netcal(given: Given) -> float:
    """What ECE.measure says."""
    from netcal.metrics import ECE  # noqa: PLC0415

    return float(ECE(given.num_bins).measure(given.probs, given.labels))


def mapie(given: Given) -> float:
    """What top_label_ece says."""
    from mapie.metrics.calibration import top_label_ece  # noqa: PLC0415

    found = top_label_ece(given.labels, given.probs, num_bins=given.num_bins)
    return float(found)


def uncertainty_calibration(given: Given) -> float:
    """What get_ece says."""
    from calibration import get_ece  # noqa: PLC0415

    return float(get_ece(given.probs, given.labels, num_bins=given.num_bins))


def relplot(given: Given) -> float:
    """What smECE says of what its own helper makes of probabilities."""
    from relplot import smECE  # noqa: PLC0415
    from relplot.metrics import multiclass_logits_to_confidences  # noqa: PLC0415

    confidence, correct = multiclass_logits_to_confidences(
        given.probs, given.labels, probs=True
    )
    return float(smECE(confidence, correct))


def scikit_learn(given: Given) -> float:
    """What log_loss says."""
    from sklearn.metrics import log_loss  # noqa: PLC0415

    labels = range(given.probs.shape[1])
    return float(log_loss(given.labels, given.probs, labels=labels))


CONTENDERS: dict[str, Callable[[Given], float]] = {
    "calibench": ours,
    "torchmetrics": torchmetrics,
    "netcal": netcal,
    "MAPIE": mapie,
    "uncertainty-calibration": uncertainty_calibration,
    "relplot": relplot,
    "scikit-learn": scikit_learn,
}
# They take no number of bins.
WITHOUT_BINS = {"relplot", "scikit-learn"}


def outcome(name: str, given: Given) -> str:
    """What a contender makes of an input."""
    if name in WITHOUT_BINS and given.num_bins < 1:
        return ""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # A warning is no refusal: the number is printed all the same.
        warnings.simplefilter("ignore")
        try:
            value = CONTENDERS[name](given)
        except Exception:  # noqa: BLE001 - whatever they raise is a refusal
            return "refused"
    return "**number**" if math.isfinite(value) else "NaN"


def main() -> None:
    """Print the table, the counts and the versions."""
    versions = {}
    for name in CONTENDERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    for name in versions:
        if outcome(name, sound()) != "**number**":
            sys.exit(f"{name} gives no number for sound predictions.")
    write = sys.stdout.write
    write(f"| input | {' | '.join(versions)} |\n|---|{'---|' * len(versions)}\n")
    counts = dict.fromkeys(versions, 0)
    for what, given in cases().items():
        found = {name: outcome(name, given) for name in versions}
        for name in versions:
            counts[name] += found[name] == "**number**"
        write(f"| {what} | {' | '.join(found.values())} |\n")
    write(f"| a finite number | {' | '.join(map(str, counts.values()))} |\n\n")
    write(", ".join(f"{name} {version}" for name, version in versions.items()) + "\n")


if __name__ == "__main__":
    main()

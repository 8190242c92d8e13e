"""A study in a store, made by hand in a moment: what the report's tests read."""

import json
from dataclasses import dataclass, replace

import numpy as np

from calibench.lab.store import EpochFiles, Store
from calibench.lab.study.measure import epoch_rows
from calibench.predictions import Predictions

NUM_CLASSES = 3
SIZES = {"selection": 40, "calibration": 120, "test": 400}

CROSS_ENTROPY = {"kind": "cross_entropy", "name": "cross_entropy", "smoothing": 0.0}
LP_NORM = {"kind": "lp_norm", "name": "lp_norm-alpha0.05", "alpha": 0.05, "p": 1.0}
ENTROPY = {"kind": "entropy", "name": "entropy-alpha0.3", "alpha": 0.3}
FOCAL = {"kind": "focal", "name": "focal-gamma3", "gamma": 3.0, "detached": False}


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a run goes.

    Attributes:
        sharpness: What the true log-posterior is multiplied by, epoch by epoch: above
            1 is over-confident. Empty: the run has not begun.
        outcome: "finished", "diverged", or None for one that is not over.
        dropped: Epochs whose predictions are not kept.
    """

    sharpness: tuple[float, ...] = (1.0, 1.0)
    outcome: str | None = "finished"
    reason: str | None = None
    failure: str | None = None
    drift: tuple[str, ...] = ()
    dropped: tuple[int, ...] = ()

    @property
    def has_begun(self):
        return bool(self.sharpness) or self.outcome == "diverged"


def write_store(
    path,
    courses,
    *,
    models=("resnet18", "vgg16"),
    losses=(CROSS_ENTROPY, FOCAL),
    seeds=(0,),
    epochs=2,
    with_posterior=True,
    name="small",
    toml="# a study\n",
    claims=(),
):
    """Make a store; runs that `courses` does not name are calibrated throughout."""
    grid = [(m, loss, s) for s in seeds for m in models for loss in losses]
    study = {
        "name": name,
        "spec": spec(name, models, losses, seeds, epochs) | {"claim": list(claims)},
        "runs": [f"{m}-{loss['name']}-seed{s}" for m, loss, s in grid],
    }
    store = Store.prepared(path, study, toml)
    for folder, (model, loss, seed) in zip(store.runs(), grid, strict=True):
        course = courses.get((model, loss["name"], seed), Course())
        _write_run(folder, (model, loss, seed), course, with_posterior=with_posterior)
    return store


def spec(name, models, losses, seeds, epochs):
    return {
        "name": name,
        "dataset": {"kind": "gratings"},
        "models": list(models),
        "width": 4,
        "seeds": list(seeds),
        "keep": "all",
        "splits": {"selection": 40, "calibration": 120},
        "train": {
            "epochs": epochs,
            "batch_size": 8,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 5e-4,
            "schedule": {"kind": "cosine", "warmup": 0.0, "final": 0.0},
            "crop_padding": 2,
            "flip": True,
            "reduction": "mean",
            "precision": "float32",
        },
        "loss": list(losses),
    }


def posteriors(sizes=None):
    """P(y | x) of every split; a label is drawn from it, the same for all runs."""
    generator = np.random.default_rng(3)
    return {
        split: generator.dirichlet([0.35] * NUM_CLASSES, size)
        for split, size in (sizes or SIZES).items()
    }


def drawn_labels(posterior):
    generator = np.random.default_rng(4)
    return np.array([generator.choice(NUM_CLASSES, p=p) for p in posterior])


def predictions(split, posterior, sharpness, seed=0):
    """Logits that are calibrated at sharpness 1, with a little noise of their own."""
    noise = np.random.default_rng(seed).normal(0, 0.05, posterior.shape)
    logits = sharpness * (np.log(np.maximum(posterior, 1e-6)) + noise)
    logits = logits.astype(np.float32)
    return Predictions.from_logits(logits, drawn_labels(posterior), split=split)


def _write_run(folder, place, course, *, with_posterior):
    folder.path.mkdir(parents=True, exist_ok=True)
    if course.has_begun:
        truth = posteriors()
        folder.begin(_manifest(*place), _examples(truth, with_posterior))
        for epoch, sharpness in enumerate(course.sharpness, start=1):
            files = _epoch_files(epoch, truth, sharpness, place[2], with_posterior)
            if epoch in course.dropped:
                files = replace(files, predictions=None)
            folder.commit_epoch(epoch, files)
    if course.drift:
        folder.commit_event("drift", changes=list(course.drift), fingerprint={})
    if course.outcome is not None and course.has_begun:
        folder.commit_event("end", outcome=course.outcome, reason=course.reason)
    if course.failure is not None:
        content = json.dumps({"reason": course.failure})
        (folder.path / "failure.json").write_text(content)


def _manifest(model, loss, seed):
    return {
        "run": {"model": model, "loss": loss, "seed": seed},
        "fingerprint": {"calibench": "0.1.0", "torch": "2.13.0", "device": "cpu"},
        "dataset": {
            "name": "gratings",
            "digest": "0" * 64,
            "class_names": [f"class {k}" for k in range(NUM_CLASSES)],
            "facts": {"bayes_accuracy": 0.8, "best_nll": 0.45},
        },
        "target_confidence": 0.95 if loss["kind"] == "lp_norm" else 1.0,
        "num_parameters": 1000,
    }


def _examples(truth, with_posterior):
    columns = _labels(truth)
    if with_posterior:
        posterior = np.concatenate(list(truth.values()))
        columns |= {f"posterior_{k}": posterior[:, k] for k in range(NUM_CLASSES)}
    return columns


def _labels(truth):
    return {
        "split": np.concatenate([np.full(len(p), split) for split, p in truth.items()]),
        "example": np.concatenate([np.arange(len(p)) for p in truth.values()]).astype(
            np.int32
        ),
        "label": np.concatenate([drawn_labels(p) for p in truth.values()]).astype(
            np.int32
        ),
    }


def _epoch_files(epoch, truth, sharpness, seed, with_posterior):
    some = {s: predictions(s, p, sharpness, seed) for s, p in truth.items()}
    logits = np.concatenate([one.logits for one in some.values()]).astype(np.float32)
    trained = {
        "epoch": epoch,
        "split": "train",
        "calibrator": "none",
        "n": 80,
        "error_rate": 0.1,
        "mean_loss": 0.3,
        "learning_rate": 0.1,
    }
    return EpochFiles(
        rows=[trained, *epoch_rows(epoch, some, truth if with_posterior else {})],
        predictions=_labels(truth)
        | {f"logit_{k}": logits[:, k] for k in range(NUM_CLASSES)},
        checkpoint=b"state",
    )

"""How the numbers came about, written from the study itself."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from markupsafe import Markup

from calibench.lab.report.judged import NUM_BINS
from calibench.lab.report.results import StudyResults
from calibench.lab.report.wording import counted, listing, model_label, model_list

PUBLISHED_WIDTH = 64

_P = "<i>p<sub>y</sub></i>"
_FORMULAS = {
    "cross_entropy": f"−ln {_P}",
    "lp_norm": f"−ln {_P} + α (Σ |<i>z<sub>k</sub></i>|<sup>p</sup>)<sup>1/p</sup>",
    "entropy": f"−ln {_P} − α H(<i>p</i>)",
    "focal": f"−(1 − {_P})<sup>γ</sup> ln {_P}",
    "brier": "Σ (<i>p<sub>k</sub></i> − [<i>k</i> = <i>y</i>])²",
    "label_smoothing": f"−(1 − ε) ln {_P} − ε mean ln <i>p<sub>k</sub></i>",
    "margin_smoothing": f"−ln {_P} + α Σ (max <i>z</i> − <i>z<sub>k</sub></i> − m)₊",
    "acls": f"−ln {_P} + squares of what logits exceed a margin by",
    "logit_norm": f"−ln {_P} of <i>z</i> / (τ |<i>z</i>|)",
    "squentropy": f"−ln {_P} + α mean <i>z<sub>k</sub></i>² over <i>k</i> ≠ <i>y</i>",
    "flsd": f"−(1 − {_P})<sup>γ({_P})</sup> ln {_P}",
    "focal_schedule": f"−(1 − {_P})<sup>γ(epoch)</sup> ln {_P}",
    "dual_focal": f"−(1 − {_P} + <i>p<sub>j</sub></i>)<sup>γ</sup> ln {_P}",
    "adafocal": f"−(1 − {_P})<sup>γ(bin, epoch)</sup> ln {_P}",
    "mmce": f"−ln {_P} + λ MMCE² of the batch",
    "mdca": f"−ln {_P} + λ MDCA of the batch",
    "soft_binned_ece": f"−ln {_P} + λ soft-binned ECE of the batch",
}
_SCHEDULES = {
    "cosine": "a cosine schedule",
    "multi_step": "a schedule in steps",
    "one_cycle": "a one-cycle schedule",
}


def formula(kind: str) -> Markup:
    """Return the loss of one example; empty for a loss of the user's."""
    return Markup(_FORMULAS.get(kind, ""))  # noqa: S704 - written above


def recipe_sentences(results: StudyResults) -> list[str]:
    """Say what was trained on what, and how."""
    spec, train = results.spec, results.spec["train"]
    sizes = {
        split: results.num_examples(split)
        for split in ("train", "selection", "calibration", "test")
    }
    models = model_list(results.models)
    return [
        f"{models} at width {spec['width']}, trained on "
        f"{_spelled(results.dataset['name'])} "
        f"({len(results.dataset['class_names']):,} classes) with {_seeds(results)}.",
        f"Splits: {sizes['train'] or 0:,} training examples an epoch, "
        f"{sizes['selection'] or 0:,} for selection, {sizes['calibration'] or 0:,} for "
        f"calibration, {sizes['test'] or 0:,} for the test.",
        _sizes(results),
        _optimizer(train),
        _augmentation(train),
        "Within a seed all losses share the split, the initial weights, the order of "
        "the batches and the augmentation, so that their differences are paired.",
        "Nothing was chosen on the test split: numbers are those of the last epoch, "
        "and each temperature was fitted on the calibration split.",
    ]


def _spelled(name: str) -> str:
    return name.upper().replace("CIFAR", "CIFAR-") if name.startswith("cifar") else name


def _seeds(results: StudyResults) -> str:
    listed = ", ".join(map(str, results.seeds))
    return f"{'seed' if len(results.seeds) == 1 else 'seeds'} {listed}"


def _sizes(results: StudyResults) -> str:
    sizes = {
        run.model: run.manifest["num_parameters"]
        for run in results.runs
        if run.manifest is not None
    }
    told = [f"{model_label(model)} {size:,}" for model, size in sizes.items()]
    return f"Parameters: {listing(told)}."


def _optimizer(train: Mapping[str, Any]) -> str:
    nesterov = "Nesterov " if train.get("nesterov") else ""
    kind = train["schedule"]["kind"]
    schedule = _SCHEDULES.get(kind, f"the schedule {kind}")
    settings = [
        f"{nesterov}momentum {train['momentum']:g}",
        f"weight decay {train['weight_decay']:g}",
        f"batches of {train['batch_size']} (loss: {train['reduction']} over the batch)",
        f"a learning rate of up to {train['learning_rate']:g} under {schedule}",
    ]
    if train.get("clip_grad_norm") is not None:
        settings.append(f"gradients clipped to norm {train['clip_grad_norm']:g}")
    return (
        f"Stochastic gradient descent for {counted(train['epochs'], 'epoch')} with "
        f"{listing(settings)}; {train['precision']}."
    )


def _augmentation(train: Mapping[str, Any]) -> str:
    parts = []
    if train["crop_padding"]:
        parts.append(f"random crops after padding by {train['crop_padding']} pixels")
    if train["flip"]:
        parts.append("mirroring of half of the images where that keeps the label")
    if not parts:
        return "No augmentation."
    return f"Augmentation: {listing(parts)}."


DEFINITIONS: Sequence[tuple[str, str, str]] = (
    (
        "ece",
        "ECE",
        f"expected calibration error of the predicted class: {NUM_BINS} bins of equal "
        "width, each (lo, hi], confidence 0 in the first; the mean over bins of "
        "|mean confidence − accuracy|, weighted by the share of examples in each.",
    ),
    (
        "equal-mass",
        "ECE, equal mass",
        f"the same with {NUM_BINS} bins that hold equally many examples each; equal "
        "confidences stay together.",
    ),
    (
        "smooth-ece",
        "Smooth ECE",
        "without bins: the gap between correctness and confidence is smoothed by a "
        "reflected Gaussian kernel along the confidence, and its size averaged; the "
        "bandwidth is the one that equals the result (Błasiok and Nakkiran 2023).",
    ),
    (
        "debiased",
        "Debiased squared error",
        "the mean over bins of (mean confidence − accuracy)², less what chance adds "
        "to it, so that a calibrated model scores 0 on average. It may be negative. "
        "In squared percent: 4 %² are 2 % of root mean square.",
    ),
    (
        "over-under",
        "Over- and under-confidence",
        "the parts of ECE from bins whose mean confidence is above, or below, their "
        "accuracy. They add up to ECE; their difference is mean confidence − accuracy.",
    ),
    (
        "floor",
        "Noise floor",
        "what a perfectly calibrated model with the same confidences would score: its "
        "answers are redrawn as right with probability equal to their confidence; 95th "
        "percentile over the redrawn test sets. p is the share of them with an ECE at "
        "least as high; with several seeds, the largest p. ° marks p ≥ 0.05.",
    ),
    (
        "interval",
        "Interval",
        "at 95%, for other test examples from the same source and this very network; "
        "how it is computed is the definition of each metric. What other training runs "
        "would give is another matter: the band over seeds, lowest to highest.",
    ),
    (
        "nll",
        "NLL",
        "negative log-likelihood: the mean of −ln of the probability given to the "
        "label, in nats. A proper score: it rewards being right and being calibrated.",
    ),
    (
        "brier",
        "Brier score",
        "the mean of the squared distance between the probabilities and the label, "
        "summed over classes: 0 to 2. A proper score.",
    ),
    (
        "error",
        "Error",
        "the share of test examples whose predicted class is not the label.",
    ),
    (
        "temperature",
        "T",
        "the temperature with the lowest NLL on the calibration split, T* in charts. "
        "Above 1 it lowers every confidence, and then test NLL can rise while the "
        "error does not.",
    ),
    (
        "classwise",
        "Class-wise gap",
        "of a class: the mean probability given to it over all test examples, less the "
        "share of examples that are of it. Above 0 it is foretold too often.",
    ),
    (
        "risk-coverage",
        "Risk and coverage",
        "a model that answers only where it is surest covers a share of the examples, "
        "the coverage, and is wrong in a share of those, the risk.",
    ),
    (
        "told-apart",
        "Told apart",
        "two losses on a model, when the difference of their ECE is too large for a "
        "finite test set: a paired standard error over test examples with the sign of "
        "every bin's gap taken as given (cautious where a model is nearly calibrated), "
        "a normal test, and Holm's correction for all pairs on all models at 5%; with "
        "several seeds also the same sign in each. T counts as given.",
    ),
    (
        "guessing",
        "Nearly guessing",
        "a loss whose error is nearer to that of guessing than to the lowest on the "
        "same model. It is shown, but not ranked.",
    ),
)

TRUE_ERROR_DEFINITION = (
    "true-error",
    "True error",
    "the mean over test examples of |P(predicted class | x) − confidence|, which ECE "
    "stands in for where P is unknown. It is never below what ECE estimates, because "
    "it also counts what a model fails to see: two images with equal confidence, one "
    "more certain than it says and one less.",
)


def limits(results: StudyResults) -> list[str]:
    """Say what the study cannot tell."""
    told = [
        *results.notes,
        "One data set and one recipe: both can move ECE as much as a loss does.",
        "Calibration here is that of the predicted class, on test examples drawn like "
        "the training ones; nothing is said about shifted data.",
        "The noise of fitting T on "
        f"{counted(results.num_examples('calibration') or 0, 'example')} is not part "
        "of the comparison after temperature scaling.",
    ]
    if len(results.seeds) == 1:
        told.append("One seed: the spread between training runs is unknown.")
    elif len(results.seeds) < 5:
        told.append(
            f"{counted(len(results.seeds), 'seed')}: too few to put an interval on the "
            "spread between training runs; ranges are the lowest and highest seed."
        )
    targets = {
        round(loss.target_confidence, 6)
        for loss in results.losses
        if loss.target_confidence is not None
    }
    if len(targets) > 1:
        told.append(
            "The losses ask for different confidence on the training set (target "
            f"confidence {min(targets):.3f} to {max(targets):.3f}): coefficients are "
            "those of the study file, not matched in strength."
        )
    width = results.spec["width"]
    if width != PUBLISHED_WIDTH:
        told.append(
            f"The networks have width {width} where the published ones have "
            f"{PUBLISHED_WIDTH}."
        )
    return told


def provenance(results: StudyResults) -> list[tuple[str, str]]:
    """Return software, hardware and data, with every value that a run had."""
    found: dict[str, dict[str, None]] = {}
    for manifest in results.manifests:
        for name, value in manifest["fingerprint"].items():
            found.setdefault(name, {})[str(value)] = None
    digest = sha256(results.toml.encode()).hexdigest()
    told = [(name, " | ".join(values)) for name, values in sorted(found.items())]
    return [*told, ("study file", f"SHA-256 {digest}")]

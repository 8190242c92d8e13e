"""What a number is: the definition that travels with it."""

from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeAlias

Norm: TypeAlias = Literal["l1", "l2", "l2 squared", "max"]
Scheme: TypeAlias = Literal["equal_width", "equal_mass"]

EDGES = "bins (lo, hi], confidence 0 in the first; edges b / M in float64"
RANKS = "bin floor(rank * M / n), a group of equal values at its lowest rank"

AT_LEAST = "covers at least as stated: reaches down by the most that the bias can be"


# The recalibration of the panel.
FITTED = "g = temperature fitted on the other folds of 10"

# Quantiles of the log-odds in the panel.
LOG_ODDS = {"log_odds_q05": 0.05, "log_odds_median": 0.5, "log_odds_q95": 0.95}


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Everything that two codes may do differently under one name.

    Attributes:
        quantity: What is computed, as a formula.
        probability: Of the "predicted class", of the "top classes", of "every class",
            of the "label", or of "class 1".
        num_bins: How many bins there are in effect; None without bins.
        scheme: How bins are laid; None without bins.
        closed: The side of a bin that belongs to it.
        edges: The rule for values on an edge, and for ties.
        extra_bin: What falls into a bin beyond `num_bins`, if there is one.
        dropped: Which examples count for nothing, if there are any.
        reduction: How the numbers of several classes become one.
        norm: "l1", "l2", "l2 squared", "max", or None.
        debiased: Whether the bias of sampling is taken off.
        sums: The arithmetic of sums over examples.
        temperature: What was done to the logits before.
        interval: The method of the interval, or why there is none.
    """

    quantity: str
    probability: Literal[
        "predicted class", "top classes", "every class", "label", "class 1"
    ]
    num_bins: int | None = None
    scheme: Scheme | None = None
    closed: Literal["right", "left"] | None = None
    edges: str | None = None
    extra_bin: str | None = None
    dropped: str | None = None
    reduction: str | None = None
    norm: Norm | None = None
    debiased: bool = False
    sums: Literal["fixed point", "float64", "float32"] = "float64"
    temperature: str = "as given"
    interval: str = ""

    def to_dict(self) -> dict[str, str | int | bool | None]:
        """As plain values, for JSON."""
        return asdict(self)

    def without_interval(self, reason: str) -> "Definition":
        """The same definition, with the reason why there is no interval."""
        return replace(self, interval=f"none: {reason}")


def definitions(
    num_bins: int, swept: int | None = None, k: int | None = None
) -> dict[str, Definition]:
    """The definition of every number of `evaluate`, by name.

    Args:
        num_bins: How many bins.
        swept: How many `ece_sweep` chose, where that is known.
        k: Of the top k classes, where that is known.
    """
    size = "sum_b w_b |mean confidence - accuracy|"
    per_class = "over classes of sum_b w_b |mean p - share with the label|"
    chernoff = "covers at least as stated: Chernoff bands for every bin at once"
    normal = "normal theory, its variance taken at each candidate"
    rooted = "covers as stated: the root of debiased_l2's, up to the number"
    same_aim = "covers at least as stated: that of top_label_ece, down to the number"
    return _averages() | {
        "top_label_ece": _binned(size, num_bins),
        "top_label_ece_equal_mass": _binned(size, num_bins, scheme="equal_mass"),
        "ece_sweep": replace(
            _binned(size, num_bins, scheme="equal_mass"),
            num_bins=swept,
            edges=f"{RANKS}; M from 1 upward, the last before accuracies first fall",
        ),
        "classwise_ece": replace(
            _binned(f"mean {per_class}", num_bins),
            probability="every class",
            reduction="mean over all classes",
        ),
        "classwise_ece_sum": replace(
            _binned(f"sum {per_class}", num_bins),
            probability="every class",
            reduction="sum over all classes",
        ),
        **_of_ranks(num_bins, k),
        "rms_calibration_error": _binned(
            "sqrt(sum_b w_b (mean confidence - accuracy)^2)",
            num_bins,
            norm="l2",
            interval=rooted,
        ),
        "max_calibration_error": _binned(
            "max_b |mean confidence - accuracy|",
            num_bins,
            norm="max",
            interval=chernoff,
        ),
        "smooth_ece": Definition(
            quantity="s = integral of |mean_i K_s(t, c_i) (c_i - a_i)| dt",
            probability="predicted class",
            edges="Gaussian kernel reflected at 0 and 1, mass at the ends kept whole",
            norm="l1",
            interval=AT_LEAST,
        ),
        "debiased_l2": _binned(
            "(1 / n) sum_b [(sum r)^2 - sum r^2] / (n_b - 1), r = c - a",
            num_bins,
            norm="l2 squared",
            interval=normal,
        ),
        "debiased_l1": replace(
            _binned(
                "sum_b w_b (2 |g_b| - E|N(g_b, s_b^2)|), g = mean of c - a, "
                "s^2 its variance; bins of one add nothing",
                num_bins,
                interval=same_aim,
            ),
            debiased=True,
        ),
        "overconfidence": _binned("sum_b w_b (confidence - accuracy)_+", num_bins),
        "underconfidence": _binned("sum_b w_b (accuracy - confidence)_+", num_bins),
        **_of_decomposition(),
        **_of_ranking(),
        **_of_log_odds(),
    }


def _averages() -> dict[str, Definition]:
    normal = "normal theory of a mean"
    return {
        "accuracy": Definition(
            quantity="mean [arg max is the label], ties to the lowest class",
            probability="predicted class",
            interval="Wilson",
        ),
        "nll": Definition(
            quantity="mean -ln p(label), in nats", probability="label", interval=normal
        ),
        "brier": Definition(
            quantity="mean sum_k (p_k - [k is the label])^2, from 0 to 2",
            probability="every class",
            interval=normal,
        ),
        "confidence_gap": Definition(
            quantity="mean confidence - accuracy, positive if over-confident",
            probability="predicted class",
            interval=normal,
        ),
    }


def _of_ranks(num_bins: int, k: int | None) -> dict[str, Definition]:
    among = "share with the label among them"
    quantities = {
        "top_k_ece": f"sum_b w_b |mean of the {k or 'k'} largest p together - {among}|",
        "kth_class_ece": "sum_b w_b |mean 2nd largest p - share with that label|",
    }
    return {
        name: replace(_binned(quantity, num_bins), probability="top classes")
        for name, quantity in quantities.items()
    }


def _of_decomposition() -> dict[str, Definition]:
    normal = "normal theory of a mean, and a jackknife over folds for the fit"
    paired = (
        "covers at least as stated: paired normal theory and a jackknife over folds, "
        "reaching up to the in-sample gain and by what it hides"
    )
    found = {}
    for score in ("nll", "brier"):
        for part, quantity, interval in (
            ("refinement", f"mean {score} of g(p), {FITTED}", normal),
            ("calibration", f"mean {score} of p - of g(p), {FITTED}", paired),
        ):
            found[f"{score}_{part}"] = Definition(
                quantity=quantity,
                probability="label" if score == "nll" else "every class",
                interval=interval,
            )
    return found


def _of_ranking() -> dict[str, Definition]:
    normal = "Student's t for its logarithm, by the influence function"
    ties = "equal confidences: the expectation over random orders"
    area = "mean over k of the share wrong among the k most confident"
    return {
        "aurc": Definition(
            quantity=area, probability="predicted class", edges=ties, interval=normal
        ),
        "excess_aurc": Definition(
            quantity=f"{area}, less that with all right answers first",
            probability="predicted class",
            edges=ties,
            interval=normal,
        ),
    }


def _of_log_odds() -> dict[str, Definition]:
    order = "covers at least as stated: order statistics, exact for any distribution"
    rank = "of rank ceil({} n) of ln(c / (1 - c)) = largest logit - logsumexp of others"
    return {
        "saturated_share": Definition(
            quantity="mean [c >= 1 - 2^-25], which rounds to 1 in float32",
            probability="predicted class",
            interval="covers at least as stated: Clopper and Pearson",
        )
    } | {
        name: Definition(
            quantity=f"value {rank.format(share)}",
            probability="predicted class",
            interval=order,
        )
        for name, share in LOG_ODDS.items()
    }


def _binned(
    quantity: str,
    num_bins: int,
    *,
    scheme: Scheme = "equal_width",
    norm: Norm = "l1",
    interval: str = AT_LEAST,
) -> Definition:
    return Definition(
        quantity=quantity,
        probability="predicted class",
        num_bins=num_bins,
        scheme=scheme,
        closed="right",
        edges=EDGES if scheme == "equal_width" else RANKS,
        norm=norm,
        debiased=norm == "l2 squared",
        sums="fixed point",
        interval=interval,
    )

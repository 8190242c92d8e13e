"""What is known of each kind of loss: formulas, links, and conventions of other code.

Notation of `docs/losses.md`: logits z, p = softmax(z), label y, one-hot label e,
entropy H, posterior eta, K classes, natural logarithms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Conventions = Callable[[Any, int], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class LossFacts:
    """One kind of loss.

    Attributes:
        formula: The loss of one example, or of a batch.
        gradient: Its derivative by the logits.
        link: How the posterior follows from the optimum.
        conventions: What the parameters are called elsewhere, given loss and K.
        is_of_batch: Whether it has a term that no single example has.
        ignores_length: Whether only the direction of the logits counts, so that no pull
            along them is left.
    """

    formula: str
    gradient: str
    link: str
    conventions: Conventions
    is_of_batch: bool = False
    ignores_length: bool = False


_PROPER = "eta = p: the loss is proper"
_OF_FOCAL = "(p_y) (p - e), w(p) = (1 - p)^gamma [1 + gamma p (-ln p) / (1 - p)]"
_NO_FIXED_LINK = "none: gamma changes with p_y or over training"


def _cross_entropy(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    if not loss.smoothing:
        return []
    return _smoothed(loss.smoothing, num_classes)


def _label_smoothing(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401
    if loss.over == "all_classes":
        return _smoothed(loss.eps, num_classes)
    over_all = loss.eps * num_classes / (num_classes - 1)
    return [
        f"smoothing over all classes, label included (torch): {over_all:.6g}",
        f"over the other classes (code of Mukhoti et al. 2020): {loss.eps:.6g}",
    ]


def _smoothed(eps: float, num_classes: int) -> list[str]:
    return [
        f"smoothing over all classes, label included (torch): {eps:.6g}",
        "over the other classes (code of Mukhoti et al. 2020): "
        f"{eps * (num_classes - 1) / num_classes:.6g}",
    ]


def _lp_norm(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    told = [
        f"norm of one example (Wang et al. 2021): {loss.alpha:.6g}",
        f"averaged over examples and classes: {loss.alpha * num_classes:.6g}",
    ]
    if loss.p == 1:
        eps = loss.alpha * num_classes / (num_classes - 1)
        told.append(f"label smoothing of the same target, over all classes: {eps:.6g}")
    return told


def _entropy(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    return [
        f"entropy of one example (Pereyra et al. 2017): {loss.alpha:.6g}",
        f"averaged over examples and classes: {loss.alpha * num_classes:.6g}",
    ]


def _focal(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    del num_classes
    if loss.detached:
        return [
            f"gamma with the weight held constant: {loss.gamma:.6g}",
            "no gamma of the full focal loss is the same loss",
        ]
    return [
        f"gamma with the weight differentiated (Lin et al. 2017): {loss.gamma:.6g}",
        "no gamma with the weight held constant is the same loss",
        "sigmoid focal losses, as for detection, are another loss",
    ]


def _brier(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    del loss
    return [f"averaged over classes: the same loss times 1 / {num_classes}"]


def _margin_smoothing(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401
    return [
        f"summed over classes: {loss.alpha:.6g}",
        "averaged over classes (code of Liu et al. 2022): "
        f"{loss.alpha * num_classes:.6g}",
    ]


def _acls(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    del num_classes
    return [
        f"alpha times lambda_1 (code of Park et al. 2023): {loss.top:.6g}",
        f"alpha times lambda_2: {loss.others:.6g}",
    ]


def _logit_norm(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    del num_classes
    return [f"the inverse, as a scale of unit logits: {1 / loss.tau:.6g}"]


def _squentropy(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    return [
        f"mean over the other classes (Hui et al. 2023, theirs 1): {loss.alpha:.6g}",
        f"summed over them: {loss.alpha / (num_classes - 1):.6g}",
    ]


def _mmce(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    return [
        *_of_batch(loss, num_classes),
        "no weight of the root (Kumar et al. 2018 and their code) is the same loss",
    ]


def _mdca(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    return [
        *_of_batch(loss, num_classes),
        f"summed over classes: {loss.weight / num_classes:.6g}",
    ]


def _of_batch(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    del num_classes
    return [f"weight beside the mean of the batch: {loss.weight:.6g}"]


def _none(loss: Any, num_classes: int) -> list[str]:  # noqa: ANN401 - a loss
    del loss, num_classes
    return []


# Of a loss of the user's own nothing is known.
OWN = LossFacts(formula="", gradient="", link="", conventions=_none)

FACTS: dict[str, LossFacts] = {
    "cross_entropy": LossFacts(
        formula="-ln p_y (with smoothing: against the smoothed label)",
        gradient="p - e",
        link="eta = p; with smoothing eps: eta = (p - eps / K) / (1 - eps)",
        conventions=_cross_entropy,
    ),
    "lp_norm": LossFacts(
        formula="-ln p_y + alpha |z|_p",
        gradient="p - e + alpha d|z|_p / dz",
        link="eta = p + alpha d|z|_p / dz (p = 1: p + alpha sign z where z is not 0)",
        conventions=_lp_norm,
    ),
    "entropy": LossFacts(
        formula="-ln p_y - alpha H(p)",
        gradient="p - e + alpha p (ln p + H(p))",
        link="eta = p + alpha p (ln p + H(p))",
        conventions=_entropy,
    ),
    "focal": LossFacts(
        formula="-(1 - p_y)^gamma ln p_y",
        gradient=f"w{_OF_FOCAL}; detached: w(p) = (1 - p)^gamma",
        link="eta_k proportional to p_k / w(p_k)",
        conventions=_focal,
    ),
    "brier": LossFacts(
        formula="sum_k (p_k - e_k)^2",
        gradient="2 p_k [p_k - e_k - sum_j p_j (p_j - e_j)]",
        link=_PROPER,
        conventions=_brier,
    ),
    "label_smoothing": LossFacts(
        formula="-(1 - eps) ln p_y - eps mean ln p_k",
        gradient="p - smoothed label",
        link="eta = (p - b) / (a - b), a the label's share and b that of another class",
        conventions=_label_smoothing,
    ),
    "margin_smoothing": LossFacts(
        formula="-ln p_y + alpha sum_k max(0, max z - z_k - margin)",
        gradient="p - e + alpha (at max z: how many trail too far; at those: -1)",
        link="none: where a gap is the margin, several posteriors share an optimum",
        conventions=_margin_smoothing,
    ),
    "acls": LossFacts(
        formula="-ln p_y + squares of what logits exceed a margin by",
        gradient="p - e + twice each weight times its excess",
        link="none: the class of the largest logit decides what is penalized",
        conventions=_acls,
    ),
    "logit_norm": LossFacts(
        formula="-ln q_y, q = softmax(z / (tau |z|))",
        gradient="(q - e) projected off z, over tau |z|",
        link="eta = q, for posteriors within reach of the length 1 / tau",
        conventions=_logit_norm,
        ignores_length=True,
    ),
    "squentropy": LossFacts(
        formula="-ln p_y + alpha / (K - 1) sum over k != y of z_k^2",
        gradient="p - e + c z_k for k != y, c = 2 alpha / (K - 1)",
        link="eta = (p + c z) / (1 + c z)",
        conventions=_squentropy,
    ),
    "flsd": LossFacts(
        formula="-(1 - p_y)^gamma(p_y) ln p_y",
        gradient=f"w{_OF_FOCAL}",
        link=_NO_FIXED_LINK,
        conventions=_none,
    ),
    "focal_schedule": LossFacts(
        formula="-(1 - p_y)^gamma(epoch) ln p_y",
        gradient=f"w{_OF_FOCAL}",
        link=_NO_FIXED_LINK,
        conventions=_none,
    ),
    "dual_focal": LossFacts(
        formula="-(1 - p_y + p_j)^gamma ln p_y, p_j the largest below p_y",
        gradient="that of -u^gamma ln p_y, u = 1 - p_y + p_j, through p_y and p_j",
        link="eta from the same equations solved for it, class by class",
        conventions=_none,
    ),
    "adafocal": LossFacts(
        formula="-(1 - p_y)^gamma(bin, epoch) ln p_y",
        gradient=f"w{_OF_FOCAL}",
        link=_NO_FIXED_LINK,
        conventions=_none,
    ),
    "mmce": LossFacts(
        formula="-ln p_y + weight MMCE^2 of the batch",
        gradient="p - e + weight dMMCE^2 / dz",
        link=f"{_PROPER} in the population, where the added term is 0",
        conventions=_mmce,
        is_of_batch=True,
    ),
    "mdca": LossFacts(
        formula="-ln p_y + weight MDCA of the batch",
        gradient="p - e + weight dMDCA / dz",
        link=f"{_PROPER} in the population, where the added term is 0",
        conventions=_mdca,
        is_of_batch=True,
    ),
    "soft_binned_ece": LossFacts(
        formula="-ln p_y + weight soft-binned ECE of the batch",
        gradient="p - e + weight dECE / dz",
        link=f"{_PROPER} in the population, where the added term is 0",
        conventions=_of_batch,
        is_of_batch=True,
    ),
}

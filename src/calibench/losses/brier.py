"""The Brier score as a loss."""

from dataclasses import dataclass

from calibench.errors import ParameterError
from calibench.losses.log_probability import label_index, widened
from calibench.losses.parameters import require_num_classes, require_target
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class Brier:
    """Squared distance of the probabilities from the one-hot label.

    sum_k (p_k - e_k)^2 = (1 - p_y)^2 + sum over k != y of p_k^2, between 0 and 2.
    Strictly proper. The gradient vanishes where the network is confidently wrong.

    Source:
        Brier 1950, equation 2, a sum over classes. Codes that average over classes,
        too, have 1 / K of it.

    >>> import torch
    >>> Brier()(torch.zeros(1, 2), torch.tensor([0]))  # 1/4 + 1/4
    tensor(0.5000)
    """

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        probs = widened(logits).softmax(dim=1)
        # 1 - p_y as a sum keeps the digits that a difference would lose.
        others = probs.scatter(1, label_index(logits, labels), 0)
        return others.sum(dim=1).square() + others.square().sum(dim=1)

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: the loss of one example is 0 only there.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> Brier().target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "Brier":
        """Return the loss if the target is 1; it has no parameter to choose another.

        Raises:
            ParameterError: The target is not 1.

        >>> Brier.for_target_confidence(1.0, num_classes=10)
        Brier()
        """
        if require_target(target, num_classes) == 1:
            return cls()
        msg = (
            f"Brier: its target confidence is 1, and it has no parameter for {target}."
        )
        raise ParameterError(msg)

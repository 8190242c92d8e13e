"""What the training loop, and a fair comparison, need from a loss."""

from typing import Protocol, runtime_checkable

from calibench.shapes import Labels, Logits, PerExample, Scalar


@runtime_checkable
class Loss(Protocol):
    """Maps a batch to one number, averaged over the batch; all that training needs.

    There is no `reduction` argument: sums would tie the learning rate to the batch
    size, and losses would stop being comparable.
    """

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        """Return the batch mean, in float32 or wider whatever the logits' dtype."""
        ...


@runtime_checkable
class TargetedLoss(Loss, Protocol):
    """A loss whose minimiser on labels that can be fitted is known.

    The target confidence makes coefficients of different losses comparable: two losses
    with the same target drive an over-parameterised network to the same confidence on
    its training set.
    """

    def target_confidence(self, num_classes: int) -> float:
        """Return the label's probability at which one example's loss is least."""
        ...

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "TargetedLoss":
        """Return the loss whose target confidence is `target`, in (1/K, 1]."""
        ...


@runtime_checkable
class PerExampleLoss(TargetedLoss, Protocol):
    """A loss that is a mean over examples, each of which counts for itself."""

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        """Return one loss for each example; their mean is the loss of the batch."""
        ...


@runtime_checkable
class ScheduledLoss(Loss, Protocol):
    """A loss that changes with time, which alone decides it."""

    def at(self, progress: float) -> Loss:
        """Return the loss of a moment; `progress` is the share of training done."""
        ...


@runtime_checkable
class AdaptiveLoss(Loss, Protocol):
    """A loss that changes with what the network does on held-out examples."""

    def successor(self, logits: Logits, labels: Labels) -> "AdaptiveLoss":
        """Return the loss of the next epoch, from held-out logits and labels."""
        ...

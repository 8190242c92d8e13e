"""The loss of a last linear layer whose logits are too many to hold at once."""

from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from calibench.losses.log_probability import require_labels
from calibench.losses.parameters import require_num_classes
from calibench.losses.protocol import PerExampleLoss
from calibench.options import whole_number
from calibench.shapes import Labels, Scalar

Hidden: TypeAlias = Float[Tensor, "batch width"]
Weight: TypeAlias = Float[Tensor, "classes width"]
Bias: TypeAlias = Float[Tensor, " classes"]


def loss_from_hidden(
    loss: PerExampleLoss,
    hidden: Hidden,
    weight: Weight,
    labels: Labels,
    *,
    bias: Bias | None = None,
    most_logits: int = 2**24,
) -> Scalar:
    """Return the mean loss of logits = hidden @ weight.T + bias, a chunk at a time.

    For language models: 8,192 tokens of a vocabulary of 128,000 have 4 GB of logits in
    float32, and a loss needs several times that. Here a chunk of rows is made into
    logits, loss and gradient, and forgotten, so that never more than `most_logits`
    logits (or one row) exist, nor probabilities of them. Value and gradients are those
    of the whole, up to the order of sums; there is no second derivative. The gradient
    of `weight` is summed in float32 or wider.

    Args:
        loss: Any loss of single examples. Batch statistics would see only a chunk.
        hidden: What the last layer is applied to.
        weight: Its weight, as `torch.nn.Linear` keeps it.
        labels: Leave out rows that are to be ignored: `hidden[kept], labels[kept]`.
        bias: Its bias, where it has one.
        most_logits: How many logits may exist at once; 2^24 are 64 MB in float32.

    Raises:
        ParameterError: `most_logits` is below 1, or there are fewer than 2 classes.
        DataError: There is not one class index for each row of `hidden`.

    Source:
        Value and gradient chunk by chunk: Hsu et al. 2024 for cross-entropy.

    >>> from calibench.losses import Focal
    >>> eye = torch.eye(2)
    >>> loss_from_hidden(Focal(gamma=1), 0 * eye, eye, torch.tensor([0, 1]))
    tensor(0.3466)
    """
    whole_number(most_logits, "most_logits", 1)
    rows = max(1, most_logits // require_num_classes(weight.shape[0]))
    require_labels(labels, (len(hidden), len(weight)))
    # Within the function gradients are off, whoever called it.
    job = (loss, rows, torch.is_grad_enabled())
    mean: Scalar = _FromHidden.apply(hidden, weight, bias, labels, job)
    return mean


class _FromHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        hidden: Hidden,
        weight: Weight,
        bias: Bias | None,
        labels: Labels,
        job: tuple[PerExampleLoss, int, bool],
    ) -> Scalar:
        loss, rows, is_recording = job
        wide = torch.promote_types(hidden.dtype, torch.float32)
        slopes = [
            torch.zeros_like(part, dtype=wide)
            if is_recording and needed and part is not None
            else None
            for part, needed in zip(
                (hidden, weight, bias), ctx.needs_input_grad, strict=False
            )
        ]
        total = torch.zeros((), dtype=wide, device=hidden.device)
        for start in range(0, len(hidden), rows):
            chunk = slice(start, start + rows)
            logits = torch.nn.functional.linear(hidden[chunk], weight, bias)
            is_needed = any(slope is not None for slope in slopes)
            with torch.set_grad_enabled(is_needed):
                leaf = logits.requires_grad_(is_needed)
                value = loss.per_example(leaf, labels[chunk]).sum() / len(hidden)
            total += value.detach()
            if is_needed:
                (slope,) = torch.autograd.grad(value, leaf)
                _add(slopes, chunk, slope, hidden[chunk], weight)
        ctx.dtypes = [
            part.dtype if part is not None else None for part in (hidden, weight, bias)
        ]
        ctx.save_for_backward(*slopes)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Scalar) -> Any:  # noqa: ANN401 - torch's
        gradients = [
            None if slope is None else (slope * upstream).to(dtype)
            for slope, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return *gradients, None, None


def _add(
    slopes: list[Tensor | None],
    chunk: slice,
    slope: Tensor,
    hidden: Tensor,
    weight: Tensor,
) -> None:
    """Add what a chunk's logits contribute to each gradient that is asked for."""
    of_hidden, of_weight, of_bias = slopes
    if of_hidden is not None:
        of_hidden[chunk] = slope @ weight
    if of_weight is not None:
        of_weight += slope.T @ hidden
    if of_bias is not None:
        of_bias += slope.sum(dim=0)

"""Losses that compute their gradient together with their value.

Automatic differentiation keeps every intermediate of the size of the logits, and reads
and writes each of them. A loss that knows its gradient in closed form keeps that one
tensor. It is made in blocks of rows that fit a processor's cache, so large numbers of
classes cost neither the memory nor the traffic of intermediates.
"""

from typing import Any, Protocol, runtime_checkable

import torch

from calibench.losses.log_probability import require_labels, widened
from calibench.shapes import Labels, Logits, PerExample

# Elements. On a CPU 2 MB in float32: what a loss makes of a block stays in the cache of
# a few cores. Elsewhere only memory counts, and few kernels are better.
_BLOCK = {True: 2**19, False: 2**26}


@runtime_checkable
class ClosedForm(Protocol):
    """A loss of one example in two forms that agree."""

    def differentiable(self, logits: Logits, labels: Labels) -> PerExample:
        """Return the values by operations that can be differentiated repeatedly."""
        ...

    def with_gradient(
        self, logits: Logits, labels: Labels, gradient: Logits
    ) -> PerExample:
        """Return the values, and write the gradient of each into `gradient`."""
        ...


def fused(loss: ClosedForm, logits: Logits, labels: Labels) -> PerExample:
    """Return the loss of each example, with its gradient in closed form.

    The second derivative, if it is asked for, is that of `loss.differentiable`; within
    `torch.func` (grad, vmap, hessian) all of it is.
    """
    require_labels(labels, logits.shape)
    # torch.func transforms the plain form: of an autograd.Function it would need a rule
    # for each of its ways to differentiate. torch has no public name for the question.
    is_transformed = torch._C._are_functorch_transforms_active()  # noqa: SLF001
    if logits.requires_grad and torch.is_grad_enabled() and not is_transformed:
        values: PerExample = _Fused.apply(logits, labels, loss)[0]
        return values
    return loss.differentiable(widened(logits), labels)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        logits: Logits, labels: Labels, loss: ClosedForm
    ) -> tuple[PerExample, Logits]:
        wide = torch.promote_types(logits.dtype, torch.float32)
        gradient = torch.empty(logits.shape, dtype=wide, device=logits.device)
        size = _BLOCK[logits.device.type == "cpu"]
        rows = max(1, size // max(1, logits.shape[1]))
        if len(logits) <= rows:
            return loss.with_gradient(widened(logits), labels, gradient), gradient
        blocks = zip(
            logits.split(rows), labels.split(rows), gradient.split(rows), strict=True
        )
        values = [loss.with_gradient(widened(z), y, out) for z, y, out in blocks]
        return torch.cat(values), gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ANN401 - torch's
        logits, labels, ctx.loss = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(logits, labels, output[1])

    @staticmethod
    def backward(ctx: Any, upstream: PerExample, _: Any) -> Any:  # noqa: ANN401 - torch's
        logits, labels, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():  # someone will differentiate once more
            values = ctx.loss.differentiable(widened(logits), labels)
            (again,) = torch.autograd.grad(values, logits, upstream, create_graph=True)
            return again, None, None
        return (gradient * upstream[:, None]).to(logits.dtype), None, None

"""Batch norm whose statistics are those of the batch of all ranks."""

from typing import Any

import torch
from torch import Tensor, distributed, nn

# The base of the three: torch exports the class only here.
from torch.nn.modules.batchnorm import _BatchNorm


def with_global_statistics(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model with batch norm over all ranks; weights stay the same objects.

    torch's own form refuses CPU tensors, so there is a plain one beside it.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    if isinstance(model, _BatchNorm):
        return GlobalBatchNorm(model)
    for name, child in model.named_children():
        setattr(model, name, with_global_statistics(child, device))
    return model


class GlobalBatchNorm(nn.Module):
    """Batch norm of any dimension over the examples of all processes of a group.

    Every process must hold equally many. Parameters and statistics have the names that
    they have in torch's layers, and are those of the layer it is made from.

    Source:
        Ioffe and Szegedy 2015, algorithm 1; the statistics of a batch in parts are
        those of Chan, Golub and LeVeque 1983.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__()
        self._layer = [layer]  # in a list, so that its parameters are not named twice
        self.weight, self.bias = layer.weight, layer.bias
        for name, buffer in layer.named_buffers(recurse=False):
            self.register_buffer(name, buffer)

    def forward(self, features: Tensor) -> Tensor:
        """Return normalized features of the same shape."""
        (layer,) = self._layer
        if not self.training:
            return layer.eval()(features)
        normalized, mean, variance = _Normalized.apply(
            features, self.weight, self.bias, layer.eps
        )
        average, spread, counted = (
            layer.running_mean,
            layer.running_var,
            layer.num_batches_tracked,
        )
        if average is None or spread is None or counted is None:
            return normalized
        count = features.numel() // features.shape[1] * distributed.get_world_size()
        counted.add_(1)
        momentum = 1 / int(counted) if layer.momentum is None else layer.momentum
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            average.lerp_(mean.to(average.dtype), momentum)
            spread.lerp_(unbiased.to(spread.dtype), momentum)
        return normalized


class _Normalized(torch.autograd.Function):
    """Normalize by the moments of all ranks, and differentiate through them."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        features: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        axes = [axis for axis in range(features.dim()) if axis != 1]
        own_variance, own_mean = torch.var_mean(features, dim=axes, correction=0)
        # A few numbers for each channel: in double, they lose nothing.
        moments = _of_all(torch.stack([own_mean, own_variance]).double())
        means, variances = moments.unbind(dim=1)
        mean = means.mean(dim=0)
        variance = (variances + (means - mean).square()).mean(dim=0)
        shape = [1, -1, *[1] * (features.dim() - 2)]
        scale = (variance + eps).rsqrt().to(features.dtype).view(shape)
        center = mean.to(features.dtype).view(shape)
        ctx.save_for_backward(features, weight, center, scale)
        ctx.axes = axes
        ctx.mark_non_differentiable(mean, variance)
        normalized = (features - center) * scale
        if weight is not None:
            normalized = normalized * weight.view(shape)
        if bias is not None:
            normalized = normalized + bias.view(shape)
        return normalized, mean, variance

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401 - torch's
        upstream: Tensor,
        *_moments: Tensor,
    ) -> tuple[Tensor | None, ...]:
        features, weight, center, scale = ctx.saved_tensors
        normalized = (features - center) * scale
        to_bias = upstream.sum(dim=ctx.axes)
        to_weight = (upstream * normalized).sum(dim=ctx.axes)
        sums = _of_all(torch.stack([to_bias, to_weight]).double()).sum(dim=0)
        count = features.numel() // features.shape[1] * distributed.get_world_size()
        along, turned = (sums / count).to(features.dtype).view(2, *scale.shape)
        to_features = (upstream - along - normalized * turned) * scale
        if weight is None:
            return to_features, None, None, None
        return to_features * weight.view(scale.shape), to_weight, to_bias, None


def _of_all(part: Tensor) -> Tensor:
    """Return every rank's tensor, stacked in the order of ranks."""
    parts = [torch.empty_like(part) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, part.contiguous())
    return torch.stack(parts)

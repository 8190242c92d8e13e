"""A last layer's loss in chunks: the value and the gradients of the whole."""

from dataclasses import dataclass, field

import pytest
import torch

from calibench.errors import ParameterError
from calibench.losses import Focal, PerExampleLoss, loss_from_hidden
from loss_batches import ALL_LOSSES


def layer(dtype=torch.float64, num_rows=11):
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(num_rows, 4, generator=generator, dtype=torch.float64)
    weight = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    bias = torch.randn(7, generator=generator, dtype=torch.float64)
    labels = torch.randint(7, (num_rows,), generator=generator)
    parts = [part.to(dtype).requires_grad_() for part in (hidden, weight, bias)]
    return *parts, labels


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
@pytest.mark.parametrize("most_logits", [1, 21, 30, 10**6])
def test_value_and_gradients_are_those_of_the_whole(loss, most_logits):
    hidden, weight, bias, labels = layer()
    whole = 3 * loss(hidden @ weight.T + bias, labels)
    expected = torch.autograd.grad(whole, (hidden, weight, bias))
    chunked = 3 * loss_from_hidden(
        loss, hidden, weight, labels, bias=bias, most_logits=most_logits
    )
    torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=1e-13)
    found = torch.autograd.grad(chunked, (hidden, weight, bias))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@dataclass
class Watched:
    """A loss that notes how many logits it is shown."""

    loss: PerExampleLoss
    seen: list[int] = field(default_factory=list)
    is_recorded: bool = False

    def __call__(self, logits, labels):
        return self.per_example(logits, labels).mean()

    def per_example(self, logits, labels):
        self.seen.append(logits.numel())
        self.is_recorded = logits.requires_grad
        return self.loss.per_example(logits, labels)

    def target_confidence(self, num_classes):
        return self.loss.target_confidence(num_classes)

    @classmethod
    def for_target_confidence(cls, target, num_classes):
        raise NotImplementedError


@pytest.mark.parametrize("most_logits", [21, 27, 28])
def test_no_more_logits_exist_than_allowed(most_logits):
    hidden, weight, _, labels = layer()
    watched = Watched(Focal(gamma=2))
    loss_from_hidden(watched, hidden, weight, labels, most_logits=most_logits)
    assert max(watched.seen) <= most_logits
    assert sum(watched.seen) == 7 * 11


def test_only_what_is_asked_for_has_a_gradient():
    hidden, weight, bias, labels = layer()
    frozen = weight.detach()
    value = loss_from_hidden(Focal(gamma=2), hidden, frozen, labels, bias=bias.detach())
    value.backward()
    assert hidden.grad is not None
    assert frozen.grad is None
    watched = Watched(Focal(gamma=2))
    with torch.no_grad():
        again = loss_from_hidden(watched, hidden, weight, labels)
    assert not again.requires_grad
    assert not watched.is_recorded


def test_half_precision_sums_in_single():
    hidden, weight, _, labels = layer(torch.bfloat16)
    value = loss_from_hidden(Focal(gamma=2), hidden, weight, labels, most_logits=7)
    value.backward()
    assert value.dtype == torch.float32
    assert weight.grad.dtype == hidden.grad.dtype == torch.bfloat16
    exact = layer()
    loss_from_hidden(Focal(gamma=2), *exact[:2], labels).backward()
    torch.testing.assert_close(
        weight.grad.double(), exact[1].grad, rtol=0.05, atol=0.01
    )


def test_there_is_no_second_derivative():
    hidden, weight, _, labels = layer()
    value = loss_from_hidden(Focal(gamma=2), hidden, weight, labels)
    (grad,) = torch.autograd.grad(value, hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        grad.sum().backward()


def test_a_chunk_of_nothing_is_refused():
    hidden, weight, _, labels = layer()
    with pytest.raises(ParameterError, match="most_logits must be at least 1"):
        loss_from_hidden(Focal(gamma=2), hidden, weight, labels, most_logits=0)

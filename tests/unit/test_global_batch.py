"""Losses of batch statistics on one process and on four, over gloo."""

import multiprocessing
from datetime import timedelta

import pytest
import torch
from torch import distributed

from calibench.losses import MDCA, MMCE, SoftBinnedECE

NUM_RANKS = 4
LOSSES = [
    MMCE(weight=3),
    MDCA(weight=2, gamma=1),
    SoftBinnedECE(weight=2),
    SoftBinnedECE(weight=2, norm=1),
]


def batch():
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    return images, torch.randint(4, (12,), generator=generator)


def direction():
    """Along which second derivatives are told."""
    return torch.arange(12, dtype=torch.float64).reshape(3, 4).cos()


def values_and_gradients(images, labels):
    found = []
    for loss in LOSSES:
        weight = torch.eye(3, 4, dtype=torch.float64).requires_grad_()
        value = loss(images @ weight, labels)
        (grad,) = torch.autograd.grad(value, weight, create_graph=True)
        grads = [grad.detach()]
        if isinstance(loss, MMCE):  # what is differentiated again is the same in all
            grads += torch.autograd.grad(grad.mul(direction()).sum(), weight)
        found.append((value.item(), *grads))
    return found


def on_a_rank(rank, rendezvous, folder):
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{rendezvous}",
        rank=rank,
        world_size=NUM_RANKS,
        timeout=timedelta(seconds=60),
    )
    images, labels = (part.chunk(NUM_RANKS)[rank] for part in batch())
    found = values_and_gradients(images, labels)
    for _, *grads in found:
        for grad in grads:
            # As DistributedDataParallel does.
            distributed.all_reduce(grad)
            grad.div_(NUM_RANKS)
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded")
def test_four_ranks_see_the_loss_and_both_gradients_of_one(tmp_path):
    context = multiprocessing.get_context("fork")  # importing torch four times is slow
    ranks = [
        context.Process(
            target=on_a_rank, args=(rank, tmp_path / "rendezvous", tmp_path)
        )
        for rank in range(NUM_RANKS)
    ]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(timeout=90)
    assert [each.exitcode for each in ranks] == [0] * NUM_RANKS
    alone = values_and_gradients(*batch())
    for rank in range(NUM_RANKS):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for (value, *grads), (expected, *others) in zip(found, alone, strict=True):
            assert value == expected
            torch.testing.assert_close(grads, others, rtol=1e-12, atol=1e-15)


def test_a_quarter_of_the_batch_has_another_loss():
    # Otherwise the test above could not fail.
    quarter = values_and_gradients(*(part.chunk(NUM_RANKS)[0] for part in batch()))
    whole = values_and_gradients(*batch())
    assert all(a[0] != b[0] for a, b in zip(quarter, whole, strict=True))

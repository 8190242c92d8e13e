"""Labels that are none, given to losses without the type checks of the tests."""

import subprocess
import sys

import pytest
import torch

from calibench.errors import DataError
from calibench.losses.log_probability import require_labels

# Annotations are checked at every call here; a user's process checks none.
GIVEN = """
import torch
from calibench.errors import DataError
from calibench.losses import LOSSES, Focal, loss_from_hidden

needed = {"lp_norm": {"alpha": 0.1}, "entropy": {"alpha": 0.1}, "focal": {"gamma": 3},
          "label_smoothing": {"eps": 0.1}, "dual_focal": {"gamma": 3},
          "mmce": {"weight": 1}, "soft_binned_ece": {"weight": 1}}
losses = {kind: made(**needed.get(kind, {})) for kind, made in LOSSES.items()}
losses["from hidden"] = lambda logits, labels: loss_from_hidden(
    Focal(gamma=3), logits, torch.ones(4, logits.shape[1]), labels, most_logits=4)
labels = torch.tensor([0, 1, 2])
wrong = {"too few": labels[:1], "too many": labels.repeat(2), "no index": labels + 0.7,
         "a column": labels[:, None]}
for kind, loss in losses.items():
    for what, given in wrong.items():
        for is_recorded in (False, True):
            try:
                loss(torch.zeros(3, 4, requires_grad=is_recorded), given)
            except DataError:
                continue
            print(kind, "took labels that are", what)
"""


def test_every_loss_refuses_labels_that_are_none():
    done = subprocess.run(
        [sys.executable, "-c", GIVEN], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize(
    ("labels", "shape", "message"),
    [
        (torch.tensor([1]), (3, 2), r"need labels of shape \(3,\), .* got \(1,\)"),
        (torch.tensor([[1], [0]]), (2, 2), r"got \(2, 1\)"),
        (torch.tensor([0.7]), (1, 2), r"whole numbers, got torch.float32"),
        (torch.tensor([0]), (1, 1), r"2 classes or more, got \(1, 1\)"),
        (torch.tensor(0), (3,), r"\(batch, classes\), .* got \(3,\)"),
        (torch.zeros(2, 4).long(), (2, 3, 4), r"got \(2, 3, 4\)"),
    ],
)
def test_the_message_says_what_is_wrong(labels, shape, message):
    with pytest.raises(DataError, match=message):
        require_labels(labels, shape)

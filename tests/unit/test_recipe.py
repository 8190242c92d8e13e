import math

import pytest

from calibench.errors import ParameterError
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.schedule import Cosine


def test_defaults_are_the_common_recipe_of_200_epochs():
    recipe = Recipe(epochs=200)
    assert (recipe.batch_size, recipe.learning_rate) == (128, 0.1)
    assert (recipe.momentum, recipe.nesterov, recipe.weight_decay) == (0.9, False, 5e-4)
    assert recipe.schedule == Cosine(warmup=0.0, final=0.0)
    assert (recipe.crop_padding, recipe.flip) == (4, True)
    assert recipe.clip_grad_norm is None
    assert (recipe.reduction, recipe.precision) == ("mean", "float32")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epochs", 0, r"epochs must be in \[1, inf\), got 0"),
        ("batch_size", 1, r"batch_size must be in \[2, inf\), got 1"),
        ("learning_rate", 0.0, r"learning_rate must be in \(0, inf\)"),
        ("learning_rate", -0.1, r"learning_rate must be in \(0, inf\)"),
        ("learning_rate", math.nan, r"learning_rate must be in \(0, inf\)"),
        ("learning_rate", math.inf, r"learning_rate must be in \(0, inf\)"),
        ("momentum", 1.0, r"momentum must be in \[0, 1\), got 1.0"),
        ("momentum", -0.1, "momentum must be in"),
        ("momentum", math.nan, "momentum must be in"),
        ("weight_decay", -1e-4, r"weight_decay must be in \[0, inf\)"),
        ("weight_decay", math.inf, r"weight_decay must be in \[0, inf\)"),
        ("weight_decay", math.nan, r"weight_decay must be in \[0, inf\)"),
        ("crop_padding", -1, r"crop_padding must be in \[0, inf\)"),
        ("clip_grad_norm", 0.0, r"clip_grad_norm must be in \(0, inf\)"),
        ("clip_grad_norm", math.nan, r"clip_grad_norm must be in \(0, inf\)"),
        # Endless is "absent"; an infinity could not be stored as JSON either.
        ("clip_grad_norm", math.inf, r"clip_grad_norm must be in \(0, inf\)"),
    ],
)
def test_a_value_out_of_range_is_refused(key, value, message):
    with pytest.raises(ParameterError, match=message):
        Recipe(**({"epochs": 1} | {key: value}))


def test_nesterov_needs_momentum():
    assert Recipe(epochs=1, nesterov=True).nesterov
    with pytest.raises(ParameterError, match="nesterov needs momentum > 0"):
        Recipe(epochs=1, nesterov=True, momentum=0.0)


def test_the_smallest_values_are_accepted():
    recipe = Recipe(
        epochs=1, batch_size=2, momentum=0.0, weight_decay=0.0, crop_padding=0
    )
    assert recipe.weight_decay == 0

from calibench.kernel.cells import add_columns_of_classes, add_rows_of_classes, add_top
from calibench.kernel.columns import add_up, normalize, read_logits, read_probs
from calibench.kernel.rows import find_right_of_few, find_right_of_many
from calibench.kernel.scores import add_losses, add_scores

__all__ = [
    "add_columns_of_classes",
    "add_losses",
    "add_rows_of_classes",
    "add_scores",
    "add_top",
    "add_up",
    "find_right_of_few",
    "find_right_of_many",
    "normalize",
    "read_logits",
    "read_probs",
]

"""Names for the tensors that cross module boundaries; importing this imports torch."""

from typing import TypeAlias

from jaxtyping import Float, Int
from torch import Tensor

Images: TypeAlias = Float[Tensor, "batch channels height width"]
Logits: TypeAlias = Float[Tensor, "batch classes"]
Labels: TypeAlias = Int[Tensor, " batch"]
PerExample: TypeAlias = Float[Tensor, " batch"]
PerRow: TypeAlias = Float[Tensor, "batch 1"]
Scalar: TypeAlias = Float[Tensor, ""]

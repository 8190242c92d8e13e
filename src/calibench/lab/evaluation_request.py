"""What `calibench evaluate` may be asked, and what does not go together."""

from dataclasses import dataclass
from pathlib import Path

from calibench.errors import ParameterError


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `calibench evaluate` was asked for, besides files.

    Attributes:
        kind: "logits" or "probs", where a file holds both.
        num_bins: How many bins for the binned metrics.
        by: A column that names the group of each example.
        weights: A column that says how often each example is there.
        against: Files of other predictions to compare with.
        truth: A file of the posterior, or of counts of judges, of the same examples.
        truth_kind: "posterior" or "counts", where that file does not say.
        canonical: Whether to add the kernel estimates for whole vectors.
        one_pass: Whether to read what does not fit in memory once.
    """

    kind: str | None = None
    num_bins: int = 15
    by: str | None = None
    weights: str | None = None
    against: Path | str | None = None
    truth: Path | str | None = None
    truth_kind: str | None = None
    canonical: bool = False
    one_pass: bool = False

    def __post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            ParameterError: Two options exclude each other.
        """
        remedies = {
            ("by", "against"): "Compare the files of one group.",
            ("by", "truth"): "Give the files of one group, and their truth.",
            ("against", "truth"): "Measure each against the truth for itself.",
            ("weights", "truth"): "Repeat the rows, of both.",
            ("canonical", "against"): "Measure each by itself.",
            ("canonical", "weights"): "Repeat the rows.",
        }
        asked = {
            name for name, value in vars(self).items() if value not in (None, False)
        }
        for (one, other), remedy in remedies.items():
            if {one, other} <= asked:
                msg = f"--{one} and --{other} do not go together. {remedy}"
                raise ParameterError(msg)
        if self.truth_kind is not None and self.truth is None:
            msg = "--truth-kind says what --truth holds, which was not given."
            raise ParameterError(msg)

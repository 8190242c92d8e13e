"""The study's two theorems, corrected, as statements that can be checked.

Everything is numpy in float64, in nats, and written so that no margin is lost to
cancellation: a margin is negative only if a theorem is false. Proofs: docs/theory.md.
"""

from calibench.theory.check import Margin, margins, table
from calibench.theory.focal import (
    FocalBound,
    TextbookStep,
    focal_bound,
    textbook_step,
)
from calibench.theory.log_softmax import log_probs
from calibench.theory.scaling import (
    entropy,
    entropy_slope,
    log_top_probability,
    log_top_shortfall,
    log_top_slope,
)

__all__ = [
    "FocalBound",
    "Margin",
    "TextbookStep",
    "entropy",
    "entropy_slope",
    "focal_bound",
    "log_probs",
    "log_top_probability",
    "log_top_shortfall",
    "log_top_slope",
    "margins",
    "table",
    "textbook_step",
]

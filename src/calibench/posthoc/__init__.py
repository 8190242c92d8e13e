"""Calibrators: fitted on held-out predictions, applied to logits."""

from calibench.posthoc.temperature import Temperature

CALIBRATORS = {"temperature": Temperature}

__all__ = ["CALIBRATORS", "Temperature"]

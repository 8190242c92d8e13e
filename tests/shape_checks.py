"""Run-time shape checks cost several times what a small metric does."""

import contextlib

from jaxtyping import config


@contextlib.contextmanager
def without_shape_checks():
    """Turn them off for a loop over thousands of cases; other tests keep them on."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)  # noqa: FBT003 - the library's own form
    try:
        yield
    finally:
        config.update("jaxtyping_disable", before)

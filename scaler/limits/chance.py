"""Whether counts of requests differ by more than chance."""

from __future__ import annotations

import math

# The least change of a rate that matters, however sure it is.
NOTABLE = 0.1


def differ(count: float, expected: float, deviations: float) -> bool:
    """Whether two numbers of requests in a like time differ by more than chance (Poisson).

    Source: F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data",
    Biometrika 35 (1948): ``2 sqrt(x + 3/8)`` has a standard deviation of about 1.

    >>> differ(7, 0, deviations=4), differ(110, 100, deviations=4)
    (True, False)
    """
    return 2 * abs(math.sqrt(count + 0.375) - math.sqrt(expected + 0.375)) > deviations

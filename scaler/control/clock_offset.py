"""How far our wall clock is from another's, which is told with what the other answers.

Prometheus is asked by wall time, and what it answers is stamped by its own. Where the two clocks
are apart, an answer is of another moment than now: of the past, or of a time of which there is
nothing yet, or only part of a rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

# Beyond it nothing is lowered by what is answered. A rate over five minutes then lacks a tenth.
APART_S = 30.0
# A Date header has whole seconds.
DATE_S = 1.0


def clock_offset_s(sent: float, received: float, date: float) -> float:
    """Return by how many seconds our clock is ahead of a server's, at least; behind is negative.

    Args:
        sent, received: when it was asked and answered, by our clock.
        date: when it answered by its own, rounded down to whole seconds.

    >>> clock_offset_s(100.2, 100.4, 100.0), clock_offset_s(98.0, 105.0, 100.0)
    (0.0, 0.0)
    >>> clock_offset_s(3700.0, 3700.5, 100.0), clock_offset_s(100.0, 105.0, 3700.0)
    (3599.0, -3595.0)
    """
    least, most = sent - (date + DATE_S), received - date
    return max(least, 0.0) if most >= 0 else most


def typical_offset_s(offsets: Sequence[float]) -> float | None:
    """Return the median: one server of several may be wrong itself. None: nobody has told."""
    return median(offsets) if offsets else None


def is_apart(offset_s: float | None) -> bool:
    """Return whether the clocks are too far apart for an answer to be one of now."""
    return offset_s is not None and abs(offset_s) > APART_S


def apart_text(offset_s: float) -> str:
    """Return what is said of it.

    >>> apart_text(-3600.0)
    "this machine's clock is 3600 s behind that of Prometheus"
    """
    where = "ahead of" if offset_s > 0 else "behind"
    return f"this machine's clock is {abs(offset_s):.0f} s {where} that of Prometheus"

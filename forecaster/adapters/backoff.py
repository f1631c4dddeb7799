"""How long to wait before a failed request is tried again: the back-off of every client here.

Pure and without an import, so that the gateway in a user's own service can afford it. How many
attempts there are, and which failures are worth one, is each client's own affair.
"""

from __future__ import annotations


def backoff_s(
    failures: int, *, first_s: float, longest_s: float, share: float, retry_after_s: float = 0.0
) -> float:
    """Return the seconds to wait after so many failures in a row.

    The upper bound doubles from ``first_s`` to ``longest_s``; how much of it is waited is drawn at
    random, so that clients that failed together do not come back together. The wait that a server
    has asked for comes on top, for the same reason: it asks all of them for the same.

    >>> [backoff_s(n, first_s=0.5, longest_s=30.0, share=1.0) for n in (1, 2, 3, 1_000_000)]
    [0.5, 1.0, 2.0, 30.0]
    >>> backoff_s(1, first_s=0.5, longest_s=30.0, share=0.5, retry_after_s=7.0)
    7.25

    Args:
        failures: at least 1.
        first_s: upper bound of the first wait.
        longest_s: upper bound of every wait.
        share: of the upper bound; drawn from [0, 1] ("full jitter"), or from [0.5, 1] ("equal
            jitter") where nobody else limits the attempts.
        retry_after_s: what the server asked for in ``Retry-After``; 0 if it asked for nothing.

    Source: Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """
    if failures < 1:
        raise ValueError(f"failures are {failures}, but must be at least 1")
    doublings = min(failures - 1, 64)  # more would overflow, and all are beyond the longest wait
    return retry_after_s + share * min(first_s * 2.0**doublings, longest_s)

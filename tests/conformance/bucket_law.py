"""Whether what a gateway admitted obeys its limit, judged by when its answers really came.

A busy machine sends late and answers late, so a count over a planned stretch of time proves
nothing. What is known of each request is that it was decided between when it was sent and when its
answer was there. From that follow two statements, which hold at any load:

* `excess`: over no stretch of time was more admitted than drained in it, and the burst.
* `room`: nobody was refused unless the bucket can have been full.

A gateway that keeps its limit has neither, but for what its clock and its arithmetic leave open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.conformance.load import Answer

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bucket:
    """What a gateway is to admit by.

    Attributes:
        rps: what drains per second; a function: what has drained by a monotonic second.
        burst: requests that it holds.
    """

    rps: float | Callable[[Floats], Floats]
    burst: float

    def drained(self, at: Floats) -> Floats:
        """Return how many requests have drained by then, since any fixed moment."""
        return self.rps(at) if callable(self.rps) else at * self.rps


def excess(answers: Sequence[Answer], bucket: Bucket) -> float:
    """Return by how many requests more was admitted than the bucket allows; 0 or less: it obeyed.

    Every stretch of time is looked at, from when a request was sent until one was answered.
    """
    sent, answered = _times(answers, 200)
    found = -np.inf
    for first in range(len(sent)):
        ends = np.sort(answered[first:])
        allowed = bucket.drained(ends) - bucket.drained(sent[first : first + 1]) + bucket.burst
        found = max(found, float(np.max(np.arange(1, len(ends) + 1) - allowed)))
    return found


def room(answers: Sequence[Answer], bucket: Bucket, status: int = 429) -> float:
    """Return how many more than one the bucket had room for at a refusal; below 0: for none at all.

    The bucket is full when, since some admitted request, as many were admitted as have drained and
    it holds. How full it was before the first of these requests is not known: full, it may be.
    """
    sent, answered = _times(answers, 200)
    refused_sent, refused_answered = _times(answers, status)
    if len(refused_sent) == 0:
        return -np.inf
    began = min(one.sent_at for one in answers)
    # Each admitted request may be where the bucket was last empty; so may the first moment be,
    # with a burst in it.
    since_sent = np.concatenate([[began], sent])
    since_answered = np.concatenate([[began], answered])
    before = np.concatenate([[bucket.burst], np.zeros(len(sent))])
    by_answer = np.sort(answered)
    too_early = np.searchsorted(by_answer, since_sent, side="left")
    drained_since = bucket.drained(since_answered)
    found = -np.inf
    for at, until in zip(refused_sent, refused_answered, strict=True):
        admitted = np.searchsorted(sent, until, side="right") - too_early + before
        drained = np.maximum(bucket.drained(np.array([at])) - drained_since, 0.0)
        level = float(np.max(admitted - drained))
        found = max(found, bucket.burst - 1 - level)
    return found


def _times(answers: Sequence[Answer], status: int) -> tuple[Floats, Floats]:
    """Return when those of a status were sent, in order, and when each was answered."""
    ours = sorted((one.sent_at, one.answered_at) for one in answers if one.status == status)
    times = np.array(ours, dtype=np.float64).reshape(-1, 2)
    return times[:, 0], times[:, 1]

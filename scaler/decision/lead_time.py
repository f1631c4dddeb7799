"""Lead time: how long it takes from asking for a replica until it is warm.

    asked for -> created -> first Ready -> warm

The autoscaler acts on a new floor at its next sync, and the floor itself waits for the next tick;
then the pod starts; then it warms up. What a policy gives as `replicas.leadTime` is all of it.

Start-up times have two modes where some pods land on a node that has to pull the image, or that has
to be provisioned first. The quantile at `LEVEL` is then one of the slow mode as soon as more than
one start in twenty is slow. That is meant: a peak that needs many new replicas is when new nodes
are needed, and a floor that counts on the fast mode would be late just then.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

# Start-up time until enough pods have been seen to start.
DEFAULT_START_UP_S = 90.0
# Of kube-controller-manager, --horizontal-pod-autoscaler-sync-period.
HPA_SYNC_S = 15.0
# Longest lead time that is acted on: half of the forecast's horizon of 30 minutes.
MAX_LEAD_S = 900.0
# Share of the pods that are warm within the lead time.
LEVEL = 0.95


class LeadTimeReason(enum.Enum):
    """Where the lead time comes from."""

    GIVEN = "given"
    DEFAULT = "default"  # too few pods have been seen to start
    LEARNED = "learned"
    BOUNDED = "bounded"  # pods take longer than is acted on


@dataclass(frozen=True, slots=True)
class LeadTime:
    """Seconds from asking for a replica until it is warm, and of these until it is Ready.

    Attributes:
        seconds: what decisions look ahead.
        start_up_s: from a pod's creation until it is Ready for the first time.
    """

    seconds: float
    start_up_s: float
    reason: LeadTimeReason


def lead_time(
    start_ups: Sequence[float],
    *,
    given_s: float | None = None,
    tick_s: float = 15.0,
    warm_up_s: float = 0.0,
) -> LeadTime:
    """Return the lead time.

    Args:
        start_ups: seconds from creation to first readiness of the last pods that started.
        given_s: what the policy says; None: it is learned.
        tick_s: between two decisions.
        warm_up_s: from Ready to warm.

    >>> lead_time([80.0] * 19 + [95.0])
    LeadTime(seconds=125.0, start_up_s=95.0, reason=<LeadTimeReason.LEARNED: 'learned'>)
    >>> lead_time([]).seconds  # 90 + 15 + 15
    120.0
    """
    known = start_up_quantile(start_ups)
    start_up_s = max([*start_ups, DEFAULT_START_UP_S]) if known is None else known
    if given_s is not None:
        return LeadTime(given_s, min(start_up_s, given_s), LeadTimeReason.GIVEN)
    seconds = start_up_s + HPA_SYNC_S + tick_s + warm_up_s
    if seconds > MAX_LEAD_S:
        return LeadTime(MAX_LEAD_S, start_up_s, LeadTimeReason.BOUNDED)
    reason = LeadTimeReason.DEFAULT if known is None else LeadTimeReason.LEARNED
    return LeadTime(seconds, start_up_s, reason)


def start_up_quantile(start_ups: Sequence[float], level: float = LEVEL) -> float | None:
    """Return the time within which a new pod is Ready with probability ``level``.

    The ``ceil((n + 1) * level)``-th smallest of ``n`` observed times (split conformal prediction;
    Vovk, Gammerman and Shafer, 2005); None where that asks for more than there are.

    >>> start_up_quantile([80.0] * 18 + [95.0])
    95.0
    >>> start_up_quantile([80.0, 90.0]) is None
    True
    """
    ordered = sorted(start_ups)
    place = math.ceil((len(ordered) + 1) * level)
    return ordered[place - 1] if place <= len(ordered) else None

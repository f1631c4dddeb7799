"""A service whose limit does not move, as the control loop publishes it."""

from __future__ import annotations

from scaler.control.snapshot import ServiceView
from scaler.decision.limit import Limit, LimitReason
from scaler.decision.replicas import ScalePolicy
from scaler.limits.priority_classes import PriorityClass
from scaler.limits.published_limit import PublishedLimit
from scaler.limits.schedule import SafeLimit
from scaler.policy.policy import Mode, Policy

SERVICE = "scene/shop"
BURST_S = 0.1
READY = 10


def still_view(limit_qps: float, classes: tuple[PriorityClass, ...] = ()) -> ServiceView:
    """Return `SERVICE` under a limit in requests per second, divided among these classes."""
    policy = Policy(
        item_id=SERVICE,
        target="shop",
        scale=ScalePolicy(min_replicas=1, max_replicas=100),
        capacity_qps=limit_qps / READY,
        mode=Mode.ENFORCE,
        classes=classes,
    )
    limit = Limit(limit_qps, max(1, round(limit_qps * BURST_S)), LimitReason.CAPACITY)
    safe = SafeLimit(limit_qps, LimitReason.CAPACITY)
    published = PublishedLimit(limit, (), safe, classes, READY, limit_qps / READY)
    return ServiceView(policy=policy, at=0.0, ready=READY, published_limit=published)

"""What an operator asks for one service, as values: what a policy file turns into.

Seconds are floats, moments are seconds since the epoch, demand is in requests per second (QPS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from scaler.decision.demand import AnnouncedEvent
from scaler.decision.limit import WARM_AT_ONCE, LimitPolicy, Ramp
from scaler.decision.replicas import ScalePolicy
from scaler.decision.trust import TrustRules
from scaler.limits.client_limits import ClientPolicy
from scaler.limits.priority_classes import PriorityClass


class Mode(StrEnum):
    """What becomes of a decision."""

    RECOMMEND = "Recommend"  # it is told, nothing is written to the autoscaler
    ENFORCE = "Enforce"


@dataclass(frozen=True, slots=True)
class Slo:
    """What is promised to clients.

    Attributes:
        latency_s: within which a request is answered.
        objective: share of the requests that this is promised for.
        query: PromQL of the latency in seconds, at that share; None where nobody measures it.
    """

    latency_s: float = 0.5
    objective: float = 0.999
    query: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.latency_s < math.inf:
            raise ValueError(f"latency_s is {self.latency_s}, but it must be finite and > 0")
        if not 0 < self.objective < 1:
            raise ValueError(f"objective is {self.objective}, but must be in (0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One service's policy.

    Attributes:
        item_id: ``"namespace/name"``.
        target: name of the HorizontalPodAutoscaler whose floor is raised.
        demand_query: PromQL of the offered requests per second; None where only a recorded history
            is replayed.
        model: name in the registry; None: whatever the command is given.
        capacity_qps: what one warm replica sustains within the SLO; None: it is learned, which
            takes ``slo.query``.
        replicas_query: PromQL of the ready replicas, so that it is learned from the past at once;
            None: from what is seen from now on.
        ramp: how a pod warms up once it is Ready.
        lead_s: until a replica that is asked for now is warm; None: it is learned.
        payback_s: beyond that, until it would have paid for its start.
        safe_qps: what gateways admit when they have not heard of us for long; None: it is derived.
    """

    item_id: str
    target: str
    scale: ScalePolicy
    capacity_qps: float | None
    replicas_query: str | None = None
    mode: Mode = Mode.RECOMMEND
    demand_query: str | None = None
    model: str | None = None
    trust: TrustRules = field(default_factory=TrustRules)
    events: tuple[AnnouncedEvent, ...] = ()
    slo: Slo = field(default_factory=Slo)
    ramp: Ramp = WARM_AT_ONCE
    lead_s: float | None = None
    payback_s: float = 90.0
    limit: LimitPolicy = field(default_factory=LimitPolicy)
    safe_qps: float | None = None
    classes: tuple[PriorityClass, ...] = ()
    clients: ClientPolicy = field(default_factory=ClientPolicy)

    def __post_init__(self) -> None:
        if not all(self.item_id.partition("/")):
            raise ValueError(f"item_id is {self.item_id!r}, but must be namespace/name")
        if self.capacity_qps is None and self.slo.query is None:
            raise ValueError(f"{self.item_id}: capacity is not given, nor an SLO query to learn it")
        if self.capacity_qps is not None and not 0 < self.capacity_qps < math.inf:
            raise ValueError(
                f"{self.item_id}: capacity_qps is {self.capacity_qps}, "
                "but it must be finite and > 0"
            )
        for name, seconds in (("lead_s", self.lead_s), ("payback_s", self.payback_s)):
            if seconds is not None and not 0 <= seconds < math.inf:
                raise ValueError(
                    f"{self.item_id}: {name} is {seconds}, but it must be finite and >= 0"
                )
        if self.safe_qps is not None and not 0 <= self.safe_qps < math.inf:
            raise ValueError(
                f"{self.item_id}: safe_qps is {self.safe_qps}, but it must be finite and >= 0"
            )
        for kind, named in (("events", self.events), ("classes", self.classes)):
            names = [one.name for one in named]
            if len(set(names)) != len(names):
                raise ValueError(f"{self.item_id}: {kind} are {names}, but names must be unique")

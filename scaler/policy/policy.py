"""The policy of one service, as the values that a policy file is converted to.

Durations are seconds, times are seconds since the epoch, demand is in requests per second (QPS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from scaler.decision.demand import AnnouncedEvent
from scaler.decision.hold import HoldRules
from scaler.decision.limit import WARM_AT_ONCE, LimitPolicy, Ramp
from scaler.decision.objective import Objective, Overrides, Tuning
from scaler.decision.recurrence import Recurrence, occurrence_after
from scaler.decision.replicas import ScalePolicy
from scaler.decision.savings import ReplicaPrice
from scaler.decision.trust import TrustRules
from scaler.limits.lease import CLIENT_WINDOW_S, LeaseTerms
from scaler.limits.priority_classes import PriorityClass


class Mode(StrEnum):
    """How a decision is applied."""

    RECOMMEND = "Recommend"  # it is published, but nothing is written to the autoscaler
    ENFORCE = "Enforce"  # the autoscaler's floor is written
    AUTO = "Auto"  # the first until a floor is proved to save, then the second; and back


@dataclass(frozen=True, slots=True)
class Slo:
    """The service level objective: a share of the requests is answered within a latency.

    Attributes:
        latency_s: the latency in seconds.
        objective: the share of the requests, in (0, 1).
        query: PromQL of the latency in seconds at that quantile; None: it is not measured.
    """

    latency_s: float = 0.5
    objective: float = 0.999
    query: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.latency_s < math.inf:
            raise ValueError(f"latency_s is {self.latency_s}, but it must be finite and > 0")
        if not 0 < self.objective < 1:
            raise ValueError(f"objective is {self.objective}, but must be in (0, 1)")


@dataclass(frozen=True, slots=True)
class RecurringEvent:
    """An announced event that comes again and again; the rest is that of `AnnouncedEvent`."""

    name: str
    recurs: Recurrence
    multiplier: float | None = None
    qps: float | None = None
    learns: bool = False

    def after(self, moment: float) -> AnnouncedEvent | None:
        """Return the first occurrence that ends after a moment; None: there is none any more."""
        one = occurrence_after(self.recurs, moment)
        if one is None:
            return None
        rest = self.multiplier, self.qps, self.learns
        return AnnouncedEvent(self.name, one.starts, one.ends, *rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One service's policy.

    Attributes:
        item_id: ``"namespace/name"`` of the service.
        target: name of the HorizontalPodAutoscaler whose floor is raised.
        scale: bounds and step sizes of the plan.
        capacity_qps: QPS that one warm replica sustains within the SLO; None: it is learned, which
            requires ``slo.query``.
        replicas_query: PromQL of the ready replicas, for learning the capacity from the past, and
            to count them without a cluster; None: it is learned from now on, and they are assumed.
        mode: whether the floor is written.
        demand_query: PromQL of the offered requests per second; None where only a recorded history
            is replayed.
        mask_query: PromQL that is above 0 while demand is not what it would be; None: nothing is
            masked.
        timezone: whose clocks demand follows; None: what the history or the model says.
        model: name of the forecaster in the registry; None: the one given to the command.
        trust: when the forecast is used.
        hold: what is held while demand is implausibly low for the time of day.
        events: announced events that raise demand; recurring: those that come again.
        slo: the service level objective.
        ramp: how a pod warms up once it is Ready.
        lead_s: lead time, from the request for a replica until it is warm; None: it is learned.
        wake: whether a workload that somebody has scaled to 0 is scaled up.
        payback_s: time after that within which a new replica pays for its start.
        limit: headroom and ceiling of the limit.
        safe_qps: limit of gateways that cannot reach tidegate for long; None: it is derived.
        lease: how long gateways act on a limit, and how often they report.
        classes: priority classes of requests.
        client_window_s: seconds over which gateways compare what their clients send.
        price: of a replica; None: savings are not told in money.
        objective: by which settings are chosen; None: those of the policy stand.
        overrides: settings that are not chosen, for the policy states them.
    """

    item_id: str
    target: str
    scale: ScalePolicy
    capacity_qps: float | None
    replicas_query: str | None = None
    mode: Mode = Mode.RECOMMEND
    demand_query: str | None = None
    mask_query: str | None = None
    timezone: str | None = None
    model: str | None = None
    trust: TrustRules = field(default_factory=TrustRules)
    hold: HoldRules = field(default_factory=HoldRules)
    events: tuple[AnnouncedEvent, ...] = ()
    recurring: tuple[RecurringEvent, ...] = ()
    slo: Slo = field(default_factory=Slo)
    ramp: Ramp = WARM_AT_ONCE
    lead_s: float | None = None
    payback_s: float = 90.0
    wake: bool = False
    limit: LimitPolicy = field(default_factory=LimitPolicy)
    safe_qps: float | None = None
    lease: LeaseTerms = field(default_factory=LeaseTerms)
    classes: tuple[PriorityClass, ...] = ()
    client_window_s: float = CLIENT_WINDOW_S
    price: ReplicaPrice | None = None
    objective: Objective | None = None
    overrides: Overrides = field(default_factory=Overrides)

    def __post_init__(self) -> None:
        if not all(self.item_id.partition("/")):
            raise ValueError(f"item_id is {self.item_id!r}, but must be namespace/name")
        if self.capacity_qps is None and self.slo.query is None:
            raise ValueError(
                f"{self.item_id}: neither a capacity nor an SLO query to learn it from is given"
            )
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
        of_events = [one.name for one in self.all_events]
        of_classes = [one.name for one in self.classes]
        for kind, names in (("events", of_events), ("classes", of_classes)):
            if len(set(names)) != len(names):
                raise ValueError(f"{self.item_id}: {kind} are {names}, but names must be unique")

    @property
    def tuning(self) -> Tuning:
        """The settings that can be chosen, as they are."""
        scale = self.scale
        return Tuning(self.trust.risk, scale.target_utilization, scale.stabilization_s)

    def tuned(self, tuning: Tuning) -> Policy:
        """Return the policy with other settings."""
        scale = replace(
            self.scale,
            target_utilization=tuning.target_utilization,
            stabilization_s=tuning.stabilization_s,
        )
        return replace(self, scale=scale, trust=replace(self.trust, risk=tuning.risk))

    @property
    def all_events(self) -> tuple[AnnouncedEvent | RecurringEvent, ...]:
        return (*self.events, *self.recurring)

    def events_after(self, moment: float) -> tuple[AnnouncedEvent, ...]:
        """Return the announced events, and of each that recurs the first that ends after that."""
        if not self.recurring:
            return self.events
        found = (one.after(moment) for one in self.recurring)
        return (*self.events, *(one for one in found if one is not None))

"""What one tick decided for a service, and what gateways may know of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from scaler.decision.decide import Decision
from scaler.decision.lead_time import LeadTime
from scaler.decision.trust import Trust
from scaler.limits.published_limit import PublishedLimit, published_limit
from scaler.limits.schedule import Fleet
from scaler.policy.policy import Policy


@dataclass(frozen=True, eq=False)
class TickResult:
    """What one tick decided for a service.

    ``decision.limit`` is what may be admitted now. ``published_limit`` adds what gateways go on
    with when they do not hear of us; it is worked out when it is asked for. ``known_limit`` is None
    before a plan has rested on observed demand: a schedule that follows it may be far too low.
    """

    decision: Decision
    trust: Trust
    lead_time: LeadTime
    policy: Policy
    fleet: Fleet
    floor: int

    @cached_property
    def published_limit(self) -> PublishedLimit:
        policy = self.policy
        return published_limit(self.decision, self.fleet, self.floor, policy.limit, policy.classes)

    @property
    def known_limit(self) -> PublishedLimit | None:
        return self.published_limit if self.decision.state.founded else None

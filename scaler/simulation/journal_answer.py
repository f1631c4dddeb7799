"""What a replayed journal says of one service or of one moment."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from scaler.adapters.journal.facts import facts_of
from scaler.simulation.journal_replay import ReplayedCall, ReplayedTick

# What gateways were told this long before and after a moment is told with it.
AROUND_S = 30.0
# A service is told of where one of these has changed.
TOLD = ("floor", "floor_reason", "demand_reason", "limit_qps", "limit_reason", "error")


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """What a gateway was told; ``at`` is seconds since the epoch."""

    at: float
    service: str
    gateway: str
    share_qps: float
    limit_qps: float
    reason: str
    version: int
    anew: bool


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """What was decided on a service from a moment on."""

    at: float
    tick: int
    facts: dict[str, Any]


class JournalAnswer:
    """Collects, while a journal is replayed, what is asked for.

    Args:
        service: that it is about; None: all.
        at: the moment that it is about, in seconds since the epoch; None: all.

    Attributes:
        found: the last tick that began by then.
        changes: of the service.
    """

    def __init__(self, service: str | None, at: float | None) -> None:
        self._service, self._at = service, at
        self.found: ReplayedTick | None = None
        self.changes: list[ChangeRow] = []
        self._told: tuple[Any, ...] | None = None
        self._leases: deque[LeaseRow] = deque()

    @property
    def service(self) -> str | None:
        return self._service

    @property
    def leases(self) -> list[LeaseRow]:
        """What gateways were told around the moment."""
        return list(self._leases)

    def tells_of(self, service: str) -> bool:
        return self._service in (None, service)

    def tick(self, tick: ReplayedTick) -> None:
        if self._at is not None:
            if tick.began.now <= self._at:
                self.found = tick
        elif self._service is not None:
            self._follow(tick, self._service)

    def call(self, call: ReplayedCall) -> None:
        if self._at is None or not self._at - AROUND_S <= call.at <= self._at + AROUND_S:
            return
        if not self.tells_of(call.call.service):
            return
        for asked, answer in zip(call.call.asked, call.answers, strict=False):
            if answer is not None:
                body = json.loads(answer.lease.json_body)
                row = LeaseRow(
                    call.at,
                    call.call.service,
                    asked.instance,
                    body["share"]["rps"],
                    body["global"]["rps"],
                    f"{body['share']['reason']}, {body['why']['binding']}",
                    body["version"],
                    answer.changed,
                )
                self._leases.append(row)

    def _follow(self, tick: ReplayedTick, service: str) -> None:
        view = tick.snapshot.services.get(service)
        if view is None:
            return
        facts = facts_of(view)
        told = tuple(facts.get(name) for name in TOLD)
        if told != self._told:
            self._told = told
            self.changes.append(ChangeRow(tick.began.now, tick.snapshot.tick, facts))

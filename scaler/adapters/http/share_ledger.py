"""One service's counter, where gateways get their shares: what each was told, and if it stands.

Rules of this file:

* A version is told once. A gateway that asks again while nothing that it acts on has changed keeps
  its version, and its booking is prolonged: that is what a 304 says.
* Everything is confined to one thread; time is monotonic seconds, handed in.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace

from scaler.adapters.http.exchange import Exchange, LeaseAnswer, LeaseRequest, holds
from scaler.adapters.http.lease_aging import AgedLimit, aged, cell_of
from scaler.adapters.http.lease_document import (
    LeaseContent,
    acting_part,
    haproxy_map,
    rendered,
    why_part,
)
from scaler.adapters.http.lease_memory import LeaseFrame, LedgerMemory
from scaler.adapters.http.report import NO_REPORT, GatewayReport, LeaseTag, held_by
from scaler.adapters.http.settings import LeaseTerms
from scaler.adapters.http.snapshot_holder import HeldSnapshot
from scaler.control.snapshot import ServiceView
from scaler.limits.shares import DemandReport, Grant, Share, ShareReason, Shares, assign


class ShareLedger:
    """Hands out shares of one service's limit.

    Args:
        service: ``"namespace/name"``.
        epoch: of this process.
        settings: what every gateway is told.
        learning_until: until then it hands out only what gateways already hold.
    """

    def __init__(
        self, service: str, epoch: str, settings: LeaseTerms, learning_until: float
    ) -> None:
        self._service, self._epoch, self._settings = service, epoch, settings
        self._policy = settings.shares
        self._shares = Shares(learning_until=learning_until)
        self._told: dict[str, LeaseAnswer] = {}
        self._said: dict[str, GatewayReport] = {}
        self._until: dict[str, float] = {}
        self._prolonged: set[str] = set()
        self._view: ServiceView | None = None
        self._cell = -1
        self._now: AgedLimit | None = None
        self._frame: LeaseFrame | None = None
        self._looked_at = -math.inf
        self._learning = learning_until > -math.inf
        self.state = 0
        self.freed = False

    @property
    def instances(self) -> int:
        return len(self._shares.held)

    def knows(self, instance: str) -> bool:
        return instance in self._told

    def learning(self, now: float) -> bool:
        return now < self._shares.learning_until

    def memory(self) -> LedgerMemory:
        """Return all that the next answers rest on, but the view: the next tick brings another."""
        return LedgerMemory(
            self._shares,
            dict(self._told),
            dict(self._said),
            dict(self._until),
            frozenset(self._prolonged),
            self._cell,
            self._frame,
            self._looked_at,
            self._learning,
            self.state,
            self.freed,
        )

    def recall(self, memory: LedgerMemory) -> None:
        """Go on from there; `look` comes first."""
        self._shares, self._told, self._said = memory.shares, dict(memory.told), dict(memory.said)
        self._until, self._prolonged = dict(memory.until), set(memory.prolonged)
        self._cell, self._frame, self._looked_at = memory.cell, memory.frame, memory.looked_at
        self._learning, self.state, self.freed = memory.learning, memory.state, memory.freed

    @property
    def stamp(self) -> tuple[object, ...]:
        """Return what differs wherever `look`, or a round of those who wait, has moved anything."""
        return self.state, self.freed, self._view, self._cell, self._looked_at, self._shares

    def look(self, posted: HeldSnapshot, view: ServiceView, now: float) -> None:
        """Take in the latest board and the time; ``state`` counts up if that changes anything."""
        cell = cell_of(posted.age_s(now))
        if view is not self._view or cell != self._cell:
            self._renew_frame(view, cell)
        if now - self._looked_at >= 1.0:
            self._looked_at = now
            self._expire(now)
        if self._learning and not self.learning(now):
            self._learning = False
            self.state += 1

    def wait(self, asked: LeaseRequest, now: float) -> bool:
        """Whether a gateway may wait, for it holds what it was told last; that stays booked."""
        told = self._told.get(asked.instance)
        if told is None or told.etag != asked.etag or now >= self._until[asked.instance]:
            return False
        self._keep(asked.instance, now)
        return True

    def renew(self, asked: LeaseRequest, now: float) -> Exchange | None:
        """Return the answer to one who has waited; None: it must be asked for anew.

        Whether it may have more has been looked after while it waited.
        """
        told = self._told.get(asked.instance)
        if told is None or told.etag != asked.etag or told.state != self.state:
            return None
        self._keep(asked.instance, now)
        return Exchange(told, changed=False)

    def ask(self, asked: LeaseRequest, now: float) -> Exchange:
        """Return what this gateway is told; call `look` first."""
        told = self._told.get(asked.instance)
        if told is not None and not self._news(asked) and self._stands(told, asked, now):
            self._keep(asked.instance, now)
            return Exchange(told, changed=told.etag != asked.etag)
        return self.ask_all([asked], now)[0]

    def ask_all(self, asked: list[LeaseRequest], now: float) -> list[Exchange]:
        """Return what each of these gateways is told; they differ in their names."""
        assert self._now is not None  # look() comes first
        self._fold()
        for one in asked:
            self._hear(one)
        before = {share.instance: share.booked_qps for share in self._shares.held}
        reports = [self._report(one) for one in asked]
        after = assign(self._shares, self._now.qps, reports, now=now, policy=self._policy)
        if any(one.instance not in before for one in asked):
            self.state += 1  # everybody's fair share depends on how many there are
        shares = {share.instance: share for share in after.held}
        expires = now + self._policy.lease_s
        answers = []
        for one in asked:
            share = shares[one.instance]
            told, same = self._tell(one, share, len(shares), after.version)
            self._until[one.instance] = expires
            if same:
                # The version of now is not told: the one that it holds lives on instead.
                shares[one.instance] = self._prolong(replace(share, handed=share.handed[:-1]))
            answers.append(Exchange(told, changed=told.etag != one.etag))
        self._shares = replace(after, held=tuple(shares.values()))
        self.freed |= any(
            share.booked_qps < before.get(name, 0.0) for name, share in shares.items()
        )
        return answers

    def _stands(self, told: LeaseAnswer, asked: LeaseRequest, now: float) -> bool:
        """Whether what a gateway was told is what it would be told, and still booked for it."""
        stands = told.state == self.state and told.fair and now < self._until[asked.instance]
        # Its first word of what it holds frees what it held before: `ask_all` sees to that.
        return stands and (told.acked or not holds(asked, told))

    def _news(self, asked: LeaseRequest) -> bool:
        if asked.said is None:
            return False
        before = self._said.get(asked.instance, NO_REPORT)
        return before.after(asked.said) is not before

    def _keep(self, instance: str, now: float) -> None:
        self._until[instance] = now + self._policy.lease_s
        self._prolonged.add(instance)

    def unsettled(self, asked: LeaseRequest) -> bool:
        """Whether what this gateway was told may not be the last word, or its own word is new."""
        told = self._told.get(asked.instance)
        if told is None or told.state != self.state or not told.fair:
            return True
        return not told.acked and holds(asked, told)

    def _tell(
        self, asked: LeaseRequest, share: Share, instances: int, version: int
    ) -> tuple[LeaseAnswer, bool]:
        """Return what a gateway is told, and whether it was told the same before."""
        assert self._view is not None
        assert self._now is not None
        said = self._said.get(asked.instance, NO_REPORT)
        acting = acting_part(
            LeaseContent(self._view, self._now, share, instances, said, self._settings)
        )
        text = json.dumps(acting)
        fair = share.reason is ShareReason.FAIR
        before = self._told.get(asked.instance)
        same = before is not None and before.acting == text
        if before is not None and same:
            acked = before.acked or holds(asked, before)
            told = replace(before, state=self.state, fair=fair, acked=acked)
        else:
            why = json.dumps(why_part(self._view, self._now))
            held = LeaseTag(self._epoch, version, share.qps)
            body = rendered(self._service, self._epoch, version, text, why)
            lines = haproxy_map(version, acting)
            told = LeaseAnswer(held, held.etag, text, body, lines, self.state, fair)
        self._told[asked.instance] = told
        return told, same

    def _hear(self, asked: LeaseRequest) -> None:
        if asked.said is None:
            return
        before = self._said.get(asked.instance, NO_REPORT)
        after = self._said[asked.instance] = before.after(asked.said)
        if after.wants_qps != before.wants_qps:
            self.state += 1  # everybody's fair share depends on what each one wants

    def _report(self, asked: LeaseRequest) -> DemandReport:
        version, holds = asked.version, asked.holds_qps
        held = held_by(asked.etag)
        if held is not None:
            version = held.version if held.epoch == self._epoch else None
            holds = held.qps
        wants = self._said.get(asked.instance, NO_REPORT).wants_qps
        assert self._now is not None
        return DemandReport(asked.instance, wants, version, min(holds, self._now.qps))

    def _renew_frame(self, view: ServiceView, cell: int) -> None:
        """Take in what the limit is now; it is a new state if gateways would act differently."""
        assert view.published_limit is not None
        now = aged(view.published_limit, cell)
        frame = LeaseFrame.of(view, now)
        self._view, self._cell, self._now = view, cell, now
        if frame != self._frame:
            self._frame = frame
            self.state += 1

    def _fold(self) -> None:
        """Book what was prolonged since."""
        if not self._prolonged:
            return
        held = (
            self._prolong(share) if share.instance in self._prolonged else share
            for share in self._shares.held
        )  # fmt: skip
        self._shares = replace(self._shares, held=tuple(held))
        self._prolonged.clear()

    def _prolong(self, share: Share) -> Share:
        version = self._told[share.instance].held.version
        older = tuple(handed for handed in share.handed if handed.version != version)
        expires = self._until[share.instance]
        return replace(share, handed=(*older, Grant(version, share.qps, expires)))

    def _expire(self, now: float) -> None:
        """Forget the gateways whose leases have run out; the others may have what they had."""
        self._fold()
        held = tuple(
            share
            for share in self._shares.held
            if any(handed.expires_at > now for handed in share.handed)
        )
        if len(held) < len(self._shares.held):
            self._shares = replace(self._shares, held=held)
        alive = {share.instance for share in held}
        gone = (self._said.keys() | self._told.keys()) - alive
        for instance in gone:
            self._told.pop(instance, None)
            self._said.pop(instance, None)
            self._until.pop(instance, None)
        if gone:
            self.state += 1

"""Gateways on virtual time: the production lease service, and the production limiter in each.

What a poller and the endpoint exchange over the network is carried out here in order of time; the
network itself takes none. As with `scaler.gateway.poller`, a gateway always waits for news of its
lease, and beside that reports each ``refresh_s``; as with `scaler.adapters.http.long_poll`, those
that wait are told after each tick and each report, and looked after each second.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.long_poll import CHECK_S
from scaler.adapters.http.problems import RETRY_AFTER_S, RequestProblem
from scaler.adapters.http.schemas import ReportBody
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import Snapshot
from scaler.gateway.lease_limiter import Admission, LeaseLimiter, LimiterSettings

# After news a poller asks again so soon, and until a lease says how often, it reports so often: as
# in `scaler.gateway.poller`, which needs httpx.
SETTLING_S, REFRESH_S = 0.05, 1.0
EPOCH = "virtual"
# The endpoint has run for long: it need not learn first what gateways hold.
SETTINGS = ApiSettings(learns_shares=False)


@dataclass(slots=True)
class _Gateway:
    """One gateway and its poller.

    Attributes:
        ask_at: when it asks next; inf while it waits.
        report_at: when it reports next.
        waits: what it has asked and waits for; asked_at: when.
        told_at: when the endpoint ends the wait; inf while there is none.
    """

    limiter: LeaseLimiter
    ask_at: float
    report_at: float
    etag: str = ""
    waits: LeaseRequest | None = None
    asked_at: float = -math.inf
    told_at: float = math.inf

    @property
    def due(self) -> float:
        return min(self.ask_at, self.told_at, self.report_at)

    def wait(self, asked: LeaseRequest, now: float, seconds: float) -> None:
        self.waits, self.asked_at = asked, now
        self.ask_at, self.told_at = math.inf, now + seconds

    def ask_again(self, at: float) -> None:
        self.waits, self.ask_at, self.told_at = None, at, math.inf

    def take(self, reply: LeaseReply, asked: LeaseRequest, sent_at: float, now: float) -> None:
        """Act on a reply."""
        if reply.changed:
            if self.limiter.receive(reply.lease.json_body, sent_at, now):
                self.etag = reply.lease.etag
        elif asked.etag == self.etag:
            self.limiter.renew(sent_at)


class VirtualGateways:
    """The gateways of one service, and the lease service that they ask.

    Time is in seconds and never goes back from one call to the next.

    Args:
        service: ``"namespace/name"``.
        count: of gateways.
        start: when all of them begin to ask.
        rng: jitter of their reports.
        settings: of the endpoint.
    """

    def __init__(
        self,
        service: str,
        count: int,
        start: float,
        rng: np.random.Generator,
        settings: ApiSettings = SETTINGS,
    ) -> None:
        if count < 1:
            raise ValueError(f"{count} gateways, but there must be at least one")
        self._service, self._rng, self._now = service, rng, start
        self._holder = SnapshotHolder(lambda: self._now)
        self._lease_service = LeaseService(self._holder, settings, EPOCH)
        self._gateways = [
            _Gateway(LeaseLimiter(LimiterSettings(service, f"gw-{i}")), start, self._report_at())
            for i in range(count)
        ]
        self._check_at = start + CHECK_S
        self.due = start

    @property
    def admit(self) -> list[Callable[[str | None, str | None, float], Admission]]:
        """What each gateway decides by: class, client, now. First `run` what is `due`.

        It is the limiter's own method: nothing stands between it and millions of requests.
        """
        return [one.limiter.admit for one in self._gateways]

    def limits_qps(self) -> list[float]:
        """Return what each gateway admits now."""
        return [one.limiter.snapshot(self._now).limit_rps for one in self._gateways]

    def publish(self, snapshot: Snapshot, now: float) -> None:
        """Have the endpoint know a tick, and tell it those that wait."""
        while self.due < now:
            self._step()
        self._now = now
        self._holder.publish(snapshot)
        self._tell(now)
        self._look_ahead()

    def run(self, now: float) -> None:
        """Carry out all that is due up to now; ``due`` then says when there is something again."""
        while self.due <= now:
            self._step()

    def _step(self) -> None:
        """Carry out what is due next."""
        self._now = now = self.due
        if self._check_at <= now:
            self._check_at = now + CHECK_S
            self._lease_service.drop_empty(now)
            self._tell(now)
        for gateway in self._gateways:
            if gateway.ask_at <= now:
                self._ask(gateway, now)
            if gateway.told_at <= now:
                self._end_wait(gateway, now)
            if gateway.report_at <= now:
                self._report(gateway, now)
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.due = min(self._check_at, *(one.due for one in self._gateways))

    def _ask(self, gateway: _Gateway, now: float) -> None:
        """Ask for a lease, and wait for news where what is held is the latest."""
        asked = LeaseRequest(gateway.limiter.settings.instance, gateway.etag)
        try:
            if gateway.etag and self._lease_service.may_wait(self._service, asked, now):
                lease = self._lease_service.view(self._service).policy.lease
                gateway.wait(asked, now, lease.longest_wait_s)
                if self._lease_service.may_change(self._service, asked):
                    self._tell(now)
                return
            reply = self._lease_service.reply(self._service, asked, now)
        except RequestProblem as problem:
            gateway.ask_again(now + (problem.retry_after_s or RETRY_AFTER_S))
            return
        gateway.take(reply, asked, now, now)
        pause_s = gateway.limiter.refresh_s or REFRESH_S
        gateway.ask_again(now + (SETTLING_S if reply.changed else pause_s))
        if self._lease_service.has_freed(self._service):
            self._tell(now)

    def _end_wait(self, gateway: _Gateway, now: float) -> None:
        """Answer one who has waited in vain; it asks again at once."""
        asked = gateway.waits
        assert asked is not None
        try:
            reply = self._lease_service.renew(self._service, asked, now)
        except RequestProblem as problem:
            gateway.ask_again(now + (problem.retry_after_s or RETRY_AFTER_S))
            return
        gateway.take(reply, asked, gateway.asked_at, now)
        gateway.ask_again(now + (SETTLING_S if reply.changed else 0.0))

    def _report(self, gateway: _Gateway, now: float) -> None:
        """Say what was counted; the reply is the lease, whole."""
        gateway.report_at = self._report_at(gateway.limiter.refresh_s)
        body = ReportBody.model_validate_json(json.dumps(gateway.limiter.report(now)))
        asked = body.to_request(EPOCH)
        with contextlib.suppress(RequestProblem):  # what cannot be said is lost
            reply = self._lease_service.reply(self._service, asked, now)
            gateway.take(LeaseReply(reply.lease, changed=True), asked, now, now)
        self._tell(now)

    def _report_at(self, refresh_s: float | None = None) -> float:
        return self._now + (refresh_s or REFRESH_S) * self._rng.uniform(0.9, 1.1)

    def _tell(self, now: float) -> None:
        """Answer those that wait whose lease has changed, until nobody's change frees more."""
        for _ in self._gateways:
            waiting = [one for one in self._gateways if one.waits is not None]
            if not waiting:
                return
            asked = [one.waits for one in waiting if one.waits is not None]
            try:
                replies = self._lease_service.changed(self._service, asked, now)
            except RequestProblem:  # they are told so when they have waited long enough
                return
            for gateway, request, reply in zip(waiting, asked, replies, strict=True):
                if reply is not None:
                    gateway.take(reply, request, gateway.asked_at, now)
                    gateway.ask_again(now + SETTLING_S)
            if not self._lease_service.has_freed(self._service):
                return

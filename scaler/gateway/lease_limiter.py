"""The limiter of a gateway: decides by the lease that it holds whether a request may pass.

    limiter = LeaseLimiter(LimiterSettings("prod/shop", "gw-3"))
    limiter.receive(body, sent_at=clock())           # the response to GET /v1/limits/prod/shop
    limiter.admit("pay", "203.0.113.7", now=clock())
    limiter.report(now=clock())                      # the body to POST, each refresh_s

Rules of this file:

* It is pure: the time is passed in, in seconds of one monotonic clock. It belongs to one thread.
* The age of a lease counts from when its request was sent, not from when the response arrived.
* A refused request is charged to no bucket. An admitted one is charged to the share's bucket, to
  both of its class, and to its client's fair part if it is in it.
* Clients are compared only where not all fit: a request beyond its client's fair part is served
  last. Requests beyond a part are no demand of their class, or a flood would take from others.
* A new limit changes how fast buckets drain, not what they hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from scaler.gateway.class_buckets import ClassBuckets
from scaler.gateway.class_matches import ClassMatches
from scaler.gateway.client_fairness import LITTLE, ClientFairness
from scaler.gateway.counts import CountedTraffic, RequestCounts
from scaler.gateway.fair_levels import ShareCapacity
from scaler.gateway.lease_document import LeaseDocument, LeaseRefusedError, read_lease
from scaler.limits.lease import (
    CLIENT_WINDOW_S,
    HeldLease,
    LeaseStage,
    limit_at,
    received,
    stage_at,
)

NO_CLASS = ""
# Within which a gateway without a lease may have one.
FIRST_LEASE_S = 1.0
# Clients that are distinguished: some 3 MB.
MAX_CLIENTS = 10_000


@dataclass(frozen=True, slots=True)
class LimiterSettings:
    """The settings of a gateway's limiter.

    Attributes:
        service: the service whose limit applies, ``"namespace/name"``.
        instance: name of the gateway.
        fail_open: whether everything is admitted until the first lease arrives.
        dry_run: decide and count, but refuse nothing, whatever the lease says.
    """

    service: str
    instance: str
    fail_open: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision on a request.

    Attributes:
        allowed: whether it may pass.
        would_deny: whether it is over the limit; in a dry run it is allowed nevertheless.
        retry_after_s: seconds until it may pass; 0 if it may now.
        limit_rps: the limit that applies: of its client, its class or the share; inf: no limit.
        remaining: requests that may still pass at once.
        reset_s: seconds until the whole burst may pass again.
        stage: stage of the lease; None: there is no lease yet.
        beyond: whether it is beyond its client's fair part, and so served last or not at all.
    """

    allowed: bool
    would_deny: bool = False
    retry_after_s: float = 0.0
    limit_rps: float = math.inf
    remaining: float = math.inf
    reset_s: float = 0.0
    stage: LeaseStage | None = None
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class LimiterSnapshot:
    """The state of a limiter at one time, for the gateway's metrics."""

    epoch: str | None
    version: int | None
    stage: LeaseStage | None
    limit_rps: float
    age_s: float | None
    clients: int
    counts: RequestCounts


class LeaseLimiter:
    """Holds a lease and admits requests by it."""

    def __init__(self, settings: LimiterSettings) -> None:
        self.settings = settings
        self._document: LeaseDocument | None = None
        self._held: HeldLease | None = None
        self._class_buckets = ClassBuckets()
        self._matches = ClassMatches()
        self._rates_valid_until = -math.inf
        self._fairness = ClientFairness(MAX_CLIENTS, CLIENT_WINDOW_S)
        self._traffic = CountedTraffic()

    @property
    def refresh_s(self) -> float | None:
        """Interval at which to report, from the lease; None: there is no lease yet."""
        return self._document.refresh_s if self._document else None

    def is_fresh(self, now: float) -> bool:
        """Whether there is a lease and it is fresh: after that its share may be another's."""
        return self._held is not None and self._held.age_s(now) < self._held.lease.valid_for_s

    def class_by_headers(self, headers: Iterable[tuple[str, str]]) -> str | None:
        """Return the class of a request by its headers, whose names are in lower case."""
        return self._matches.class_of(headers)

    def receive(self, body: bytes, sent_at: float, now: float | None = None) -> bool:
        """Take over a lease from a response.

        Args:
            body: the response body.
            sent_at: when its request was sent, monotonic seconds.
            now: when the response arrived; None: at ``sent_at``.

        Returns:
            Whether the limiter holds this lease now. It does not where a lease of another epoch
            was requested later: which epoch is current cannot be told, so the caller asks again.

        Raises:
            LeaseRefusedError: the lease is invalid or outdated; the limiter is unchanged.
        """
        document = read_lease(body, self.settings.service)
        try:
            held = received(self._held, document.lease, sent_at)
        except ValueError as error:
            raise LeaseRefusedError(str(error)) from None
        if self._held and document == self._document:
            self.renew(sent_at)
            return True
        if (
            self._held
            and sent_at < self._held.confirmed_s
            and held.lease.epoch != self._held.lease.epoch
        ):
            return False
        self._held, self._document = held, document
        self._class_buckets.set_classes(one.name for one in document.classes)
        self._matches = ClassMatches(document.classes)
        if document.client_window_s != self._fairness.window_s:
            self._fairness = ClientFairness(MAX_CLIENTS, document.client_window_s)
        self._rates_valid_until = -math.inf
        # Now, not with the next request: the buckets must drain at the new rate from now on.
        self._update_rates(sent_at if now is None else now)
        return True

    def renew(self, sent_at: float) -> None:
        """Renew the lease: the response to a request sent at ``sent_at`` says it is unchanged."""
        if self._held and sent_at > self._held.confirmed_s:
            self._held = replace(self._held, confirmed_s=sent_at)
            self._rates_valid_until = -math.inf

    def admit(
        self, request_class: str | None, client: str | None, now: float, hits: int = 1
    ) -> Admission:
        """Return whether a request may pass, and count it.

        Args:
            request_class: its priority class; None or a name that is not in the lease: no class.
            client: any name of the client that sent it; None: no client is compared.
            now: monotonic seconds.
            hits: how many requests it counts as; all of them pass or none.
        """
        if hits < 1:
            raise ValueError(f"hits is {hits}, but a request counts as at least one")
        name = request_class if request_class and request_class in self._class_buckets else NO_CLASS
        admission = self._decide(name, client, now, hits)
        recent = self._traffic.recent
        counts = recent.denied if admission.would_deny else recent.admitted
        counts[name] += hits
        if admission.beyond:
            beyond = recent.denied_beyond if admission.would_deny else recent.admitted_beyond
            beyond[name] += hits
        recent.rejected += 0 if admission.allowed else hits
        return admission

    def begin(self, now: float) -> None:
        """Count for the first report from now on; without that it is over the last second."""
        self._traffic.begin(now)

    def demand_moved(self, now: float) -> bool:
        """Look whether demand has moved since the last report, so that the next cannot wait."""
        return self._traffic.moved(now)

    def report(self, now: float) -> dict[str, object]:
        """Return the report on the time since the last one, as JSON values to POST."""
        return self._held_fields(now) | self._traffic.report_fields(now)

    def report_before_move(self, now: float) -> dict[str, object] | None:
        """Return a report on the time before demand moved, to be sent first; None: there is none.

        Call it where `demand_moved`: `report` then is on the time since.
        """
        earlier = self._traffic.earlier_fields()
        return None if earlier is None else self._held_fields(now) | earlier

    def _held_fields(self, now: float) -> dict[str, object]:
        fields: dict[str, object] = {"instance": self.settings.instance}
        if self._held and self.is_fresh(now):
            lease = self._held.lease
            fields |= {"epoch": lease.epoch, "version": lease.version, "holds_rps": lease.qps}
        return fields

    def snapshot(self, now: float) -> LimiterSnapshot:
        counts = self._traffic.total()
        if self._held is None:
            limit = math.inf if self.settings.fail_open else 0.0
            return LimiterSnapshot(None, None, None, limit, None, len(self._fairness), counts)
        lease, age_s = self._held.lease, max(0.0, self._held.age_s(now))
        return LimiterSnapshot(
            lease.epoch, lease.version, stage_at(lease, age_s), limit_at(lease, age_s), age_s,
            len(self._fairness), counts,
        )  # fmt: skip

    def _decide(self, name: str, client: str | None, now: float, hits: int) -> Admission:
        if self._held is None:
            unlimited = Admission(True)
            return unlimited if self.settings.fail_open else self._denied(math.inf, 0.0, None)
        stage = stage_at(self._held.lease, max(0.0, self._held.age_s(now)))
        if stage in (LeaseStage.OPEN, LeaseStage.CLOSED):
            return self._expired(name)
        self._update_rates(now)
        sender = None if client is None else self._fairness.count(name, client, now, hits)
        used = 0.0 if sender is None else self._fairness.used(name, sender, now, hits)
        by_class = self._class_buckets.admit(name, now, hits, used)
        if by_class.wait_s > 0:
            if sender is None or used < LITTLE:
                self._fairness.overflow(now, hits)
                return self._denied(by_class.wait_s, by_class.qps, stage)
            level_qps = self._fairness.level_qps(name, sender)
            return self._denied(by_class.wait_s, level_qps, stage, beyond=True)
        beyond = used >= 1.0
        if sender is not None and not beyond:
            self._fairness.charge(name, sender, now, hits)
        remaining, reset_s = by_class.remaining, by_class.reset_s
        return Admission(True, False, 0.0, by_class.qps, remaining, reset_s, stage, beyond)

    def _expired(self, name: str) -> Admission:
        """Return the decision on a request of a class when even the safe limit has expired."""
        assert self._document is not None
        by_class = (one.then for one in self._document.classes if one.name == name)
        stage = LeaseStage(next(by_class, self._document.lease.then))
        is_open = stage is LeaseStage.OPEN
        return Admission(True, stage=stage) if is_open else self._denied(math.inf, 0.0, stage)

    def _denied(
        self, wait_s: float, limit_rps: float, stage: LeaseStage | None, *, beyond: bool = False
    ) -> Admission:
        enforce = not self.settings.dry_run and (self._document is None or self._document.enforce)
        if wait_s == math.inf:
            # It never passes at this limit, but the limit may be another one after that time.
            wait_s = self._held.lease.valid_for_s if self._held else FIRST_LEASE_S
        return Admission(not enforce, True, wait_s, limit_rps, 0.0, wait_s, stage, beyond)

    def _update_rates(self, now: float) -> None:
        """Set the buckets' rates to the limit that applies now, unless they are valid still."""
        if now < self._rates_valid_until or self._held is None or self._document is None:
            return
        lease, age_s = self._held.lease, max(0.0, self._held.age_s(now))
        limit = limit_at(lease, age_s)
        if math.isfinite(limit):
            parts, spare = self._class_buckets.set_limit(self._document, limit, now)
            priorities = {one.name: one.priority for one in self._document.classes}
            in_order = sorted(parts, key=lambda one: (priorities[one.name], one.name))
            self._fairness.set_share(ShareCapacity(limit, spare, in_order), now)
        ends_s = lease.schedule_ends_s
        steps = (step.in_s for step in lease.schedule)
        changes = (lease.valid_for_s, *steps, ends_s, ends_s + lease.max_stale_s)
        self._rates_valid_until = self._held.confirmed_s + min(
            (change_s for change_s in changes if change_s > age_s), default=math.inf
        )

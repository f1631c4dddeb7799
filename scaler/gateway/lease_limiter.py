"""The gateway's side of a lease: may this request pass?

    limiter = LeaseLimiter(LimiterSettings("prod/shop", "gw-3"))
    limiter.receive(body, sent_at=clock())           # what GET /v1/limits/prod/shop answered
    limiter.admit("pay", "203.0.113.7", now=clock())
    limiter.report(now=clock())                      # what to POST, each refresh_s

Rules of this file:

* Pure: time is passed in, in seconds of one monotonic clock. Confined to one thread.
* A lease is as old as the question that it answers.
* A request that is refused takes nothing from any bucket. An admitted one takes from its client's,
  from its class's own or else the common spare, and counts against its class's ceiling.
* News of a limit change how fast buckets drain, never what is in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from scaler.gateway.buckets import Bucket
from scaler.gateway.class_buckets import ClassBuckets
from scaler.gateway.client_rates import ClientRate, ClientRates, reported
from scaler.gateway.counts import RequestCounts
from scaler.gateway.lease_document import ClientTerms, LeaseDocument, LeaseRefusedError, read_lease
from scaler.limits.lease import HeldLease, Lease, LeaseStage, limit_at, received, stage_at

NAMELESS = ""
# What a report may say was counted over.
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.001, 3600.0


@dataclass(frozen=True, slots=True)
class LimiterSettings:
    """What a gateway knows by itself.

    Attributes:
        service: whose limit it holds.
        instance: its own name.
        fail_open: admit everything until the first lease has come.
        dry_run: decide and count, reject nothing, whatever the lease says.
        most_clients: that are told apart; client_window_s: over which their rates are counted.
    """

    service: str
    instance: str
    fail_open: bool = True
    dry_run: bool = False
    max_clients: int = 10_000
    client_window_s: float = 60.0

    def __post_init__(self) -> None:
        if self.max_clients < 1:
            raise ValueError(f"most_clients is {self.max_clients}, but it must be >= 1")
        if not 0 < self.client_window_s < math.inf:
            raise ValueError(f"client_window_s is {self.client_window_s}, but must be > 0")


@dataclass(frozen=True, slots=True)
class Admission:
    """What becomes of a request.

    Attributes:
        allowed: let it pass.
        would_deny: the limit has no room for it; it is allowed nevertheless in a dry run.
        retry_after_s: seconds until there is room; 0 where there is.
        limit_rps: of what it was held against: its client's, its class's, or the share; inf: none.
        remaining: requests that would still pass at once.
        reset_s: until all of the burst may pass again.
        stage: of the lease; None: there is none yet.
        by_client: it is its client that has used up what it may.
    """

    allowed: bool
    would_deny: bool = False
    retry_after_s: float = 0.0
    limit_rps: float = math.inf
    remaining: float = math.inf
    reset_s: float = 0.0
    stage: LeaseStage | None = None
    by_client: bool = False


@dataclass(frozen=True, slots=True)
class LimiterSnapshot:
    """What a gateway does at a moment, for its own metrics."""

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
        self._terms: LeaseDocument | None = None
        self._held: HeldLease | None = None
        self._gates = ClassBuckets()
        self._tuned_until = -math.inf
        self._callers = ClientRates(settings.max_clients, settings.client_window_s)
        self._recent, self._total = RequestCounts(), RequestCounts()
        self._reported_at: float | None = None

    @property
    def refresh_s(self) -> float | None:
        """How often to ask; None: no lease says so yet."""
        return self._terms.refresh_s if self._terms else None

    @property
    def headers(self) -> dict[str, str]:
        """Classes by the (lower case) header that makes a request one of theirs."""
        classes = self._terms.classes if self._terms else ()
        return {one.header: one.name for one in classes if one.header}

    def receive(self, body: bytes, sent_at: float, now: float | None = None) -> bool:
        """Act on an answer to what was asked at ``sent_at``.

        Args:
            body: of the answer.
            sent_at: when it was asked, monotonic seconds.
            now: when it came; None: hardly later.

        Returns:
            Whether this is what is held now. It is not where the lease is of another epoch than one
            that was asked for later: which of them is over nobody can say, so ask again.

        Raises:
            LeaseRefusedError: it makes no sense; nothing has changed.
        """
        terms = read_lease(body, self.settings.service)
        try:
            held = received(self._held, terms.lease, sent_at)
        except ValueError as error:
            raise LeaseRefusedError(str(error)) from None
        if self._held and terms == self._terms:
            self.renew(sent_at)
            return True
        if (
            self._held
            and sent_at < self._held.confirmed_s
            and held.lease.epoch != self._held.lease.epoch
        ):
            return False
        self._held, self._terms = held, terms
        self._gates.keep(one.name for one in terms.classes)
        self._tuned_until = -math.inf
        # Now, not with the next request: until then the buckets drain at the new rate already.
        self._tune(sent_at if now is None else now)
        return True

    def renew(self, sent_at: float) -> None:
        """Hold the lease as if it had just come: the server said at ``sent_at`` that it is true."""
        if self._held and sent_at > self._held.confirmed_s:
            self._held = replace(self._held, confirmed_s=sent_at)
            self._tuned_until = -math.inf

    def admit(
        self, request_class: str | None, client: str | None, now: float, hits: int = 1
    ) -> Admission:
        """Return whether a request may pass, and count it.

        Args:
            request_class: name of its class; None, or a name that the lease does not know: of none.
            client: who sent it, by any name; None: nobody asks.
            now: monotonic seconds.
            hits: requests that it counts as, all or none of which pass.
        """
        if hits < 1:
            raise ValueError(f"hits is {hits}, but a request counts as at least one")
        name = request_class if request_class and request_class in self._gates else NAMELESS
        decided = self._decided(name, client, now, hits)
        counts = self._recent.denied if decided.would_deny else self._recent.admitted
        counts[name] += hits
        self._recent.rejected += 0 if decided.allowed else hits
        return decided

    def report(self, now: float) -> dict[str, object]:
        """Return what was counted since the report before, as JSON to be POSTed."""
        since = self._reported_at if self._reported_at is not None else now - 1.0
        self._reported_at = now
        counted, self._recent = self._recent, RequestCounts()
        self._total.add(counted)
        held: dict[str, object] = {}
        if self._held:
            lease = self._held.lease
            held = {"epoch": lease.epoch, "version": lease.version, "holds_rps": lease.qps}
        return {
            "instance": self.settings.instance,
            **held,
            "interval_s": min(max(now - since, MIN_INTERVAL_S), MAX_INTERVAL_S),
            **counted.reported(),
            **reported(self._callers.rates(now)),
        }

    def snapshot(self, now: float) -> LimiterSnapshot:
        counts = RequestCounts()
        counts.add(self._total)
        counts.add(self._recent)
        if self._held is None:
            limit = math.inf if self.settings.fail_open else 0.0
            return LimiterSnapshot(None, None, None, limit, None, len(self._callers), counts)
        lease, age_s = self._held.lease, max(0.0, self._held.age_s(now))
        return LimiterSnapshot(
            lease.epoch, lease.version, stage_at(lease, age_s), limit_at(lease, age_s), age_s,
            len(self._callers), counts,
        )  # fmt: skip

    def _decided(self, name: str, client: str | None, now: float, hits: int) -> Admission:
        caller = None if client is None else self._callers.seen(client, now, hits)
        if self._held is None:
            none = Admission(True)
            return none if self.settings.fail_open else self._denied(math.inf, 0.0, None)
        stage = stage_at(self._held.lease, max(0.0, self._held.age_s(now)))
        if stage in (LeaseStage.OPEN, LeaseStage.CLOSED):
            return self._ended(name)
        self._tune(now)
        its = None if caller is None else self._bucket_of(caller, now)
        if its is not None:
            alone = its.ask(now, hits)
            if not alone.allowed:
                denied = self._denied(alone.retry_after_s, 1 / its.interval_s, stage)
                return replace(denied, by_client=True)
        passage = self._gates.take(name, now, hits)
        if passage.wait_s > 0:
            return self._denied(passage.wait_s, passage.qps, stage)
        if its is not None:
            its.tat = alone.tat
        left, drains_in_s = passage.left, passage.drains_in_s
        return Admission(True, False, 0.0, passage.qps, left, drains_in_s, stage)

    def _bucket_of(self, caller: ClientRate, now: float) -> Bucket | None:
        """Return a client's bucket, tuned to what it offers; None: it is not limited so."""
        terms = self._terms.clients if self._terms else None
        if terms is None:
            return None
        qps, burst = _of_client(terms, self._callers.rate(caller, now))
        if math.isinf(qps):
            return None
        caller.bucket.tune(qps, burst, now)
        return caller.bucket

    def _ended(self, name: str) -> Admission:
        """Return what becomes of a request when even the safe limit is too old."""
        assert self._terms is not None
        of_class = (one.then for one in self._terms.classes if one.name == name)
        stage = LeaseStage(next(of_class, self._terms.lease.then))
        is_open = stage is LeaseStage.OPEN
        return Admission(True, stage=stage) if is_open else self._denied(math.inf, 0.0, stage)

    def _denied(self, wait_s: float, limit_rps: float, stage: LeaseStage | None) -> Admission:
        enforce = not self.settings.dry_run and (self._terms is None or self._terms.enforce)
        if wait_s == math.inf and self._held:
            # By then the limit may be another one.
            wait_s = self._held.lease.valid_for_s
        return Admission(not enforce, True, wait_s, limit_rps, 0.0, wait_s, stage)

    def _tune(self, now: float) -> None:
        """Tune all buckets to the limit as it is now, unless they are."""
        if now < self._tuned_until or self._held is None or self._terms is None:
            return
        lease, age_s = self._held.lease, max(0.0, self._held.age_s(now))
        limit = limit_at(lease, age_s)
        if math.isfinite(limit):
            self._gates.tune(self._terms, limit, now)
        edges = (lease.valid_for_s, *(step.in_s for step in lease.schedule), *_ends(lease))
        self._tuned_until = self._held.confirmed_s + min(
            (edge for edge in edges if edge > age_s), default=math.inf
        )


def _ends(lease: Lease) -> Iterable[float]:
    yield lease.schedule_ends_s
    yield lease.schedule_ends_s + lease.max_stale_s


def _of_client(terms: ClientTerms, offers_qps: float) -> tuple[float, float]:
    """Return the rate and burst of a client that offers so much; inf: it is not limited."""
    above, left = terms.abusive_above_qps, terms.abusive_qps
    level = math.inf if terms.qps is None else terms.qps
    if above is not None and left is not None and offers_qps > above:
        return min(left, level), 1.0
    return level, terms.burst

"""The lease service: leases of all services, from the latest snapshot and the share ledgers.

It is confined to the server's event loop; time is monotonic seconds. The control loop's thread
reaches it only through a `SnapshotHolder`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import Protocol

from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.adapters.http.instance_owners import InstanceOwners
from scaler.adapters.http.lease_aging import expiry_age_s, lease_s
from scaler.adapters.http.lease_memory import LeasesMemory
from scaler.adapters.http.problems import RETRY_AFTER_S, RequestProblem, known_service
from scaler.adapters.http.report import parse_etag
from scaler.adapters.http.reported_demand import ReportedDemand
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.share_ledger import ShareLedger
from scaler.adapters.http.snapshot_holder import HeldSnapshot
from scaler.control.reign import Tenure
from scaler.control.snapshot import ServiceView

LOGGER = logging.getLogger(__name__)

# Gateways of one service. Each has a share of at least one request per second, and every change of
# the limit is worked out for all of them at once (benchmarks/endpoint.py).
MAX_INSTANCES = 5000

_NOT_HANDED_OUT = {
    Tenure.FOLLOWS: "another replica hands out limits; ask again",
    Tenure.LAPSED: "led last, but cannot reach the API server: another replica may hand out limits",
}


class LatestSnapshot(Protocol):
    """Where the latest snapshot is found; ``clock`` is monotonic seconds."""

    @property
    def clock(self) -> Callable[[], float]: ...

    def latest(self) -> HeldSnapshot | None: ...


class LeaseService:
    """Replies to gateways with their leases.

    Attributes:
        reports: takes in what they report.

    Args:
        holder: of the snapshots; the service uses its clock.
        settings: how leases are issued.
        epoch: names the version numbers of this process; letters and digits.
    """

    def __init__(self, holder: LatestSnapshot, settings: ApiSettings, epoch: str) -> None:
        self._holder, self._settings, self.epoch = holder, settings, epoch
        self.reports = ReportedDemand(holder.clock)
        self._ledgers: dict[str, ShareLedger] = {}
        self._owners: dict[str, InstanceOwners] = {}  # of the ledgers' gateways
        self._leads_since = holder.clock()
        self._others_until = -math.inf  # of the reign under which the ledgers were kept
        self._version = 0  # the newest of any ledger that was dropped

    def memory(self) -> LeasesMemory:
        """Return all that the next replies rest on."""
        ledgers = {service: ledger.memory() for service, ledger in self._ledgers.items()}
        owners = {service: one.memory() for service, one in self._owners.items()}
        return LeasesMemory(
            self.epoch, self._leads_since, ledgers, owners, self._others_until, self._version
        )

    def recall(self, memory: LeasesMemory) -> None:
        """Go on from there."""
        self.epoch, self._leads_since = memory.epoch, memory.leads_since
        self._others_until, self._version = memory.others_until, memory.version
        self._ledgers = {}
        for service, one in memory.ledgers.items():
            self._ledgers[service] = ShareLedger(service, self.epoch, -math.inf)
            self._ledgers[service].recall(one)
        self._owners = {
            service: InstanceOwners(memory.owners.get(service)) for service in self._ledgers
        }

    def latest(self) -> HeldSnapshot:
        """Return the latest snapshot.

        Raises:
            RequestProblem: 503 before the first tick.
        """
        held = self._holder.latest()
        if held is None:
            raise RequestProblem(503, "no tick yet; come back soon", RETRY_AFTER_S)
        return held

    def view(self, service: str) -> ServiceView:
        """Return what the latest snapshot holds of a service.

        Raises:
            RequestProblem: 503 before the first tick, 404 if there is no such service.
        """
        return known_service(self.latest().snapshot, service)

    def reply(self, service: str, request: LeaseRequest, now: float) -> LeaseReply:
        """Return the reply to one gateway.

        Raises:
            RequestProblem: 404 if there is no such service, 409 if the gateway is somebody else's,
                429 if there are too many gateways, 503 if no limit can be handed out now.
        """
        ledger, owners = self._ledger(service, now), self._owners[service]
        if ledger.caretakes and not (ledger.holds(request.instance, now) or ledger.learning(now)):
            detail = "no leader is known, so no gateway gets a share that it does not hold here"
            raise RequestProblem(503, detail, RETRY_AFTER_S)
        if ledger.knows(request.instance):
            owners.check(request)
        else:
            self._check_admission(ledger, owners, request, now)
        owners.claim(request)
        reply = ledger.reply(request, now)
        self.reports.take(service, request, reply, now)
        return reply

    def may_wait(self, service: str, request: LeaseRequest, now: float) -> bool:
        """Whether a gateway may wait for a change: it must hold the lease that was issued last.

        Raises:
            RequestProblem: as `reply` does.
        """
        ledger = self._ledger(service, now)
        return self._owners[service].owns(request) and ledger.may_wait(request, now)

    def renew(self, service: str, request: LeaseRequest, now: float) -> LeaseReply:
        """Return the reply to a gateway that has waited without a change.

        Raises:
            RequestProblem: as `reply` does.
        """
        ledger, renewed = self._ledger(service, now), None
        if self._owners[service].owns(request):
            renewed = ledger.renew(request, now)
        return renewed or self.reply(service, request, now)

    def changed(
        self, service: str, requests: Iterable[LeaseRequest], now: float
    ) -> list[LeaseReply | None]:
        """Return a reply for each waiting gateway whose lease has changed, None for the others.

        Raises:
            RequestProblem: as `reply` does.
        """
        ledger = self._ledger(service, now)
        waiting, owners = list(requests), self._owners[service]
        due = [one for one in waiting if owners.owns(one) and ledger.may_change(one)]
        ledger.has_freed = False
        if not due:
            return [None] * len(waiting)
        for one in due:
            owners.claim(one)
        replies = dict(zip((one.instance for one in due), ledger.reply_all(due, now), strict=True))
        found = (replies.get(one.instance) for one in waiting)
        return [reply if reply is not None and reply.changed else None for reply in found]

    def may_change(self, service: str, request: LeaseRequest) -> bool:
        """Whether the lease that a gateway holds may have to change already."""
        ledger = self._ledgers.get(service)
        return ledger is None or ledger.may_change(request)

    def has_freed(self, service: str) -> bool:
        """Whether a gateway has given up part of its booking, so that others may get more."""
        ledger = self._ledgers.get(service)
        return ledger is not None and ledger.has_freed

    def drop_empty(self, now: float) -> None:
        """Expire old leases, and drop the ledgers in which no gateway holds a share any more."""
        held = self._holder.latest()
        if held is None:
            return
        self._follow_election(held, now)
        for service, ledger in list(self._ledgers.items()):
            view = held.snapshot.services.get(service)
            try:
                if view is None or view.published_limit is None:
                    ledger.expire(now)
                else:
                    ledger.refresh(held, view, now)
            except Exception:  # one service's fault leaves the leases of the others checked
                LOGGER.exception("%s: its leases could not be checked", service)
                continue
            self._owners[service].keep(ledger.knows)
            if not ledger.instances:
                self._drop(service)

    def stamp(self, service: str) -> tuple[object, ...]:
        """Return what differs wherever a round of waiting gateways has changed anything."""
        ledger = self._ledgers.get(service)
        return () if ledger is None else (ledger, *ledger.stamp)

    def gateways(self) -> dict[str, int]:
        """Return how many gateways hold a share, by service."""
        return {service: ledger.instances for service, ledger in self._ledgers.items()}

    def _ledger(self, service: str, now: float) -> ShareLedger:
        held = self.latest()
        self._follow_election(held, now)
        if not held.tenure.hands_out:
            raise RequestProblem(503, _NOT_HANDED_OUT[held.tenure], RETRY_AFTER_S)
        view = known_service(held.snapshot, service)
        if view.published_limit is None:
            detail = view.error or "no limit is known before its demand was observed once"
            raise RequestProblem(503, f"{service}: {detail}", RETRY_AFTER_S)
        age_s = held.age_s(now)
        if age_s >= expiry_age_s(view.published_limit, self._settings.stale_after_s):
            detail = f"the last tick was {age_s:.0f} s ago"
            raise RequestProblem(503, f"{service}: {detail}", RETRY_AFTER_S)
        ledger = self._ledgers.get(service)
        if ledger is None:
            until = self._learning_until(view)
            ledger = ShareLedger(service, self.epoch, until, self._version)
            self._ledgers[service], self._owners[service] = ledger, InstanceOwners()
        ledger.refresh(held, view, now)
        return ledger

    def _follow_election(self, held: HeldSnapshot, now: float) -> None:
        """While another replica leads, forget all shares: two replicas would divide one limit.

        After this replica has become the leader it learns first which shares gateways hold: until
        those have expired that a leader before it handed out last, as a caretaker.
        """
        reign = held.reign
        if held.tenure is Tenure.FOLLOWS:
            self._forget()
            self._leads_since = now
        elif reign is not None and reign.others_until != self._others_until:
            self._forget()
            self._leads_since = self._others_until = reign.others_until

    def _forget(self) -> None:
        for service in list(self._ledgers):
            self._drop(service)

    def _drop(self, service: str) -> None:
        """Drop a ledger; gateways may hold its leases, and refuse older versions of the epoch."""
        del self._owners[service]
        self._version = max(self._version, self._ledgers.pop(service).version)

    def _learning_until(self, view: ServiceView) -> float:
        """Return until when gateways may act on leases that another process has issued."""
        if not self._settings.learns_shares:
            return -math.inf
        return self._leads_since + lease_s(view.policy.lease)

    def _check_admission(
        self, ledger: ShareLedger, owners: InstanceOwners, request: LeaseRequest, now: float
    ) -> None:
        """Refuse a gateway that cannot be given a share now."""
        owners.keep(ledger.knows)
        owners.check_room(request)
        if ledger.instances >= MAX_INSTANCES:
            detail = f"{MAX_INSTANCES} gateways hold a share already"
            raise RequestProblem(429, detail, RETRY_AFTER_S)
        claims = request.holds_qps > 0 or parse_etag(request.etag) is not None
        if ledger.learning(now) and not claims:
            # A share of 0 would stop the gateway; without a lease it keeps its configured limit.
            raise RequestProblem(
                503, "just started, learning what gateways hold; come back soon", RETRY_AFTER_S
            )

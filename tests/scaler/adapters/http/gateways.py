"""A lease service with a manual clock, and gateways that use it."""

from __future__ import annotations

from dataclasses import dataclass, field

from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from tests.scaler.adapters.http.snapshots import Clock, snapshot, view

SHOP = "prod/shop"
SETTINGS = ApiSettings(learns_shares=False)


@dataclass
class Gateway:
    """A gateway that acts on the lease that it got last."""

    name: str
    etag: str = ""
    qps: float = 0.0
    answers: list[LeaseReply] = field(default_factory=list)

    def take(self, answer: LeaseReply) -> LeaseReply:
        self.answers.append(answer)
        if answer.changed:
            self.etag, self.qps = answer.lease.etag, answer.lease.tag.qps
        return answer


class Site:
    """A lease service with a manual clock, and the snapshots of its loop, if it has ticked yet."""

    def __init__(self, settings: ApiSettings = SETTINGS, ready: int | None = 8) -> None:
        self.clock = Clock()
        self.holder = SnapshotHolder(self.clock)
        self.lease_service = LeaseService(self.holder, settings, "c0ff")
        if ready is not None:
            self.publish(ready)

    def publish(self, ready: int = 8, planned: int | None = None) -> None:
        self.holder.publish(snapshot(view(ready=ready, planned=planned)))

    def ask(self, gateway: Gateway, wants: float | None = None) -> LeaseReply:
        report = None if wants is None else GatewayReport(wants)
        request = LeaseRequest(gateway.name, gateway.etag, report)
        return gateway.take(self.lease_service.reply(SHOP, request, self.clock.now))

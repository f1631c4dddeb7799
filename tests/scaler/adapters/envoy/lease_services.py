"""A desk with whole limits, a clock that is moved by hand, and what asks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import grpc

from scaler.adapters.envoy.decider import RateLimitDecider
from scaler.adapters.envoy.local_limiters import LocalLimiters
from scaler.adapters.envoy.rlqs import QuotaService
from scaler.adapters.envoy.rls import add_rate_limit_service
from scaler.adapters.grpc.server import Hosted, RpcServer
from scaler.adapters.http.app import create_app
from scaler.adapters.http.auth import Tokens
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.ratelimit_json import add_rate_limit
from scaler.adapters.http.server import Address, ApiServer, Tls
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import Snapshot
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.policy import Mode
from tests.scaler.adapters.http.snapshots import Clock, snapshot, view

SHOP = "prod/shop"


def limited(
    qps: float,
    *classes: PriorityClass,
    mode: Mode = Mode.ENFORCE,
    service: str = SHOP,
    burst: int | None = None,
) -> Snapshot:
    """Return a board on which a service may admit ``qps``; None: a burst of a tenth of it."""
    made = view(service, ready=1, each_qps=qps)
    assert made.published_limit is not None
    policy = replace(made.policy, mode=mode, classes=classes)
    limit = made.published_limit.limit
    limit = replace(limit, burst=limit.burst if burst is None else burst)
    published_limit = replace(made.published_limit, classes=classes, limit=limit)
    return snapshot(replace(made, policy=policy, published_limit=published_limit))


class Place:
    """A desk, the gateway that lives beside it, and the time."""

    def __init__(self, published: Snapshot | None = None, *, learning_s: float = 0.0) -> None:
        self.clock = Clock()
        self.holder = SnapshotHolder(self.clock)
        if published is not None:
            self.holder.publish(published)
        self.lease_service = LeaseService(self.holder, ApiSettings(learning_s=learning_s), "c0ff")
        self.resident = LocalLimiters(self.lease_service, "rls-here", self.clock)
        self.gate = RateLimitDecider(self.resident, self.clock)

    def wait(self, seconds: float, beat_s: float = 0.5) -> None:
        """Let time pass, with ticks of the loop and beats of the gateway."""
        posted = self.holder.latest()
        for _ in range(round(seconds / beat_s)):
            self.clock.now += beat_s
            if posted is not None:
                self.holder.publish(posted.snapshot)
            self.resident.beat()


@dataclass
class Serving:
    """A served desk, in real time."""

    holder: SnapshotHolder
    http: ApiServer
    rpc: RpcServer
    channel: grpc.Channel


@contextmanager
def serving(
    published: Snapshot,
    settings: ApiSettings | None = None,
    port: int = 0,
    tls: Tls | None = None,
) -> Iterator[Serving]:
    """Serve a board over HTTP and gRPC on loopback, as `scaler run` does; gRPC on ``port``.

    ``tls`` is for gRPC alone.
    """
    holder = SnapshotHolder()
    holder.publish(published)
    settings = settings or ApiSettings(learning_s=0.0)
    app = create_app(holder, settings, lease_service=LeaseService(holder, settings, "c0ff"))
    resident = LocalLimiters(app.state.lease_service, "rls-here", holder.clock)
    gate = RateLimitDecider(resident, holder.clock)
    add_rate_limit(app, gate.decide)

    def leads() -> bool:
        return holder.leads(45.0)

    quotas = QuotaService(app.state.lease_service, holder.clock)
    hosted = [
        Hosted(lambda server: add_rate_limit_service(server, gate.decide), leads),
        Hosted(quotas.add, leads, quotas.close),
    ]
    tokens = Tokens(settings.tokens) if settings.tokens else None
    rpc = RpcServer(Address(port=port, tls=tls), hosted, lambda: holder.is_fresh(45.0), tokens)
    with (
        ApiServer(app, Address(port=0), [resident, rpc]) as http,
        grpc.insecure_channel(f"127.0.0.1:{rpc.port}") as channel,
    ):
        yield Serving(holder, http, rpc, channel)

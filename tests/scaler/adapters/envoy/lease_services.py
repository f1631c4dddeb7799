"""A lease service with integer limits and a manual clock, and its gRPC clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import grpc

from scaler.adapters.envoy.decider import RateLimitDecider
from scaler.adapters.envoy.local_limiters import LocalLimiters
from scaler.adapters.envoy.rlqs import QuotaService
from scaler.adapters.envoy.rls import add_rate_limit_service
from scaler.adapters.grpc.access import LIMITS_RULE, CallAccess
from scaler.adapters.grpc.server import Hosted, RpcServer
from scaler.adapters.http.app import create_app
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.ratelimit_json import add_rate_limit
from scaler.adapters.http.server import Address, ApiServer, Tls
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import Snapshot
from scaler.limits.lease import LeaseTerms
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
    lease: LeaseTerms = LeaseTerms(),  # noqa: B008 - it is frozen
) -> Snapshot:
    """Return a snapshot in which a service may admit ``qps``; burst None is a tenth of it."""
    made = view(service, ready=1, each_qps=qps, lease=lease)
    assert made.published_limit is not None
    policy = replace(made.policy, mode=mode, classes=classes)
    limit = made.published_limit.limit
    limit = replace(limit, burst=limit.burst if burst is None else burst)
    published_limit = replace(made.published_limit, classes=classes, limit=limit)
    return snapshot(replace(made, policy=policy, published_limit=published_limit))


def joined(*published: Snapshot) -> Snapshot:
    """Return a snapshot of the services of all these."""
    return snapshot(*(view for one in published for view in one.services.values()))


class Place:
    """A lease service, the local limiters beside it, and a manual clock."""

    def __init__(self, published: Snapshot | None = None, *, learns_shares: bool = False) -> None:
        self.clock = Clock()
        self.holder = SnapshotHolder(self.clock)
        if published is not None:
            self.holder.publish(published)
        self.lease_service = LeaseService(
            self.holder, ApiSettings(learns_shares=learns_shares), "c0ff"
        )
        self.limiters = LocalLimiters(self.lease_service, "rls-here", self.clock)
        self.gate = RateLimitDecider(self.limiters, self.clock)

    def wait(self, seconds: float, step_s: float = 0.5) -> None:
        """Advance the clock, with ticks of the loop and renewals of the limiters."""
        held = self.holder.latest()
        for _ in range(round(seconds / step_s)):
            self.clock.now += step_s
            if held is not None:
                self.holder.publish(held.snapshot)
            self.limiters.renew_all()


@dataclass
class Serving:
    """A served lease service, in real time."""

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
    """Serve a snapshot over HTTP and gRPC on loopback, as `scaler run` does; gRPC on ``port``.

    ``tls`` applies to gRPC only.
    """
    holder = SnapshotHolder()
    holder.publish(published)
    # There are no more ticks, and yet what the last one said stays true.
    settings = replace(settings or ApiSettings(learns_shares=False), stale_after_s=3600.0)
    app = create_app(holder, settings, epoch="c0ff")
    limiters = LocalLimiters(app.state.lease_service, "rls-here", holder.clock)
    gate = RateLimitDecider(limiters, holder.clock)
    add_rate_limit(app, gate.decide)

    def leads() -> bool:
        return holder.hands_out_limits(settings.stale_after_s)

    access = CallAccess(app.state.access.tokens)
    by_limits = partial(access.grant_of, rule=LIMITS_RULE)
    quotas = QuotaService(app.state.lease_service, holder.clock, by_limits)
    hosted = [
        Hosted(lambda server: add_rate_limit_service(server, gate.decide, by_limits), leads),
        Hosted(quotas.add, leads, quotas.close),
    ]
    rpc = RpcServer(
        Address(port=port, tls=tls), hosted, lambda: holder.is_fresh(settings.stale_after_s), access
    )
    with (
        ApiServer(app, Address(port=0), [limiters, rpc]) as http,
        grpc.insecure_channel(f"127.0.0.1:{rpc.port}") as channel,
    ):
        yield Serving(holder, http, rpc, channel)

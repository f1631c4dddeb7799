"""What runs on the endpoint's event loop beside HTTP: the rate limit decider, and gRPC."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

from scaler.errors import PolicyError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from scaler.adapters.grpc.server import RpcServer
    from scaler.adapters.http.server import Address
    from scaler.adapters.http.settings import ApiSettings
    from scaler.adapters.http.snapshot_holder import SnapshotHolder
    from scaler.limits.descriptors import DescriptorCall, DescriptorReply

BackgroundService = AbstractAsyncContextManager[object]


def background_services(
    app: FastAPI, holder: SnapshotHolder, settings: ApiSettings, address: Address | None
) -> list[BackgroundService]:
    """Return the services to run beside the application, and add ``POST /json`` to it.

    Args:
        app: of `create_app`; its lease service gives the decider its leases.
        holder: of the snapshots.
        settings: of the endpoint; they apply to gRPC as well.
        address: where gRPC is served; None: nowhere.

    Raises:
        PolicyError: gRPC is not installed.
        ServingError: gRPC would be open to everybody, or its server cannot be set up.
    """
    from scaler.adapters.envoy.decider import RateLimitDecider
    from scaler.adapters.envoy.local_limiters import LocalLimiters
    from scaler.adapters.http.ratelimit_json import add_rate_limit

    limiters = LocalLimiters(
        app.state.lease_service, instance_name(socket.gethostname()), holder.clock
    )
    decider = RateLimitDecider(limiters, holder.clock)
    add_rate_limit(app, decider.decide)
    if address is None:
        return [limiters]
    return [limiters, _rpc_server(app, holder, settings, address, decider.decide)]


def instance_name(host: str) -> str:
    """Return the name under which this process takes its own share, as one of the gateways.

    No gateway can have it: their names begin with a letter or digit.

    >>> instance_name("tidegate-0"), instance_name("my host.local")
    ('@rls-tidegate-0', '@rls-my-host.local')
    """
    name = "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "-" for c in host)
    return f"@rls-{name[:100]}"


def _rpc_server(
    app: FastAPI,
    holder: SnapshotHolder,
    settings: ApiSettings,
    address: Address,
    decide: Callable[[DescriptorCall], DescriptorReply],
) -> RpcServer:
    from scaler.adapters.http.grants import AccessRole
    from scaler.adapters.http.server import check_access

    try:
        from scaler.adapters.envoy.rlqs import QuotaService
        from scaler.adapters.envoy.rls import add_rate_limit_service
        from scaler.adapters.grpc.access import LIMITS_RULE, CallAccess, CallRule
        from scaler.adapters.grpc.server import Hosted, RpcServer
        from scaler.adapters.keda.service import ExternalScaler
    except ModuleNotFoundError as error:
        raise PolicyError(
            f"--grpc-listen needs {error.name}, which is not installed; "
            "install it by: pip install 'tidegate[grpc]'"
        ) from error
    check_access(address, settings)
    stale_after_s = settings.stale_after_s

    def fresh() -> bool:
        return holder.is_fresh(stale_after_s)

    def leads() -> bool:
        return holder.hands_out_limits(stale_after_s)

    access = CallAccess(
        app.state.access.tokens,
        verified=address.tls is not None and address.tls.client_ca is not None,
        count_refusal=app.state.count_refusal,
    )
    # KEDA can present a certificate, but no token.
    plans_rule = CallRule(AccessRole.READ, by_certificate=True)
    by_limits = partial(access.grant_of, rule=LIMITS_RULE)
    quotas = QuotaService(app.state.lease_service, holder.clock, by_limits)
    keda = ExternalScaler(holder, stale_after_s, partial(access.grant_of, rule=plans_rule))
    hosted = [
        Hosted(lambda server: add_rate_limit_service(server, decide, by_limits), leads),
        Hosted(quotas.add, leads, quotas.close),
        Hosted(keda.add, fresh, keda.close, plans_rule),
    ]
    return RpcServer(address, hosted, fresh, access)

"""What runs on the endpoint's event loop beside HTTP: the gateway in this process, and gRPC."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from scaler.errors import PolicyError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from scaler.adapters.grpc.server import RpcServer
    from scaler.adapters.http.server import Address
    from scaler.adapters.http.settings import ApiSettings
    from scaler.adapters.http.snapshot_holder import SnapshotHolder
    from scaler.limits.descriptors import DescriptorCall, DescriptorReply

Beside = AbstractAsyncContextManager[object]


def beside(
    app: FastAPI, holder: SnapshotHolder, settings: ApiSettings, address: Address | None
) -> list[Beside]:
    """Return what is to run beside the application, and have it decide at ``POST /json``.

    Args:
        app: of `create_app`; its desk is asked.
        holder: of the boards.
        settings: of the endpoint: gRPC has the same rules.
        address: where gRPC listens; None: nowhere.

    Raises:
        PolicyError: gRPC is asked for, but not installed.
        ServingError: it would be open to everybody, or cannot be set up.
    """
    from scaler.adapters.envoy.decider import RateLimitDecider
    from scaler.adapters.envoy.local_limiters import LocalLimiters
    from scaler.adapters.http.ratelimit_json import add_rate_limit

    resident = LocalLimiters(
        app.state.lease_service, instance_name(socket.gethostname()), holder.clock
    )
    gate = RateLimitDecider(resident, holder.clock)
    add_rate_limit(app, gate.decide)
    if address is None:
        return [resident]
    return [resident, _rpc(app, holder, settings, address, gate.decide)]


def instance_name(host: str) -> str:
    """Return the name that this process's own gateway has among the others.

    >>> instance_name("tidegate-0"), instance_name("my host.local")
    ('rls-tidegate-0', 'rls-my-host.local')
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "-" for c in host)
    return f"rls-{plain[:100]}"


def _rpc(
    app: FastAPI,
    holder: SnapshotHolder,
    settings: ApiSettings,
    address: Address,
    decide: Callable[[DescriptorCall], DescriptorReply],
) -> RpcServer:
    from scaler.adapters.http.auth import Tokens
    from scaler.adapters.http.server import check_access

    try:
        from scaler.adapters.envoy.rlqs import QuotaService
        from scaler.adapters.envoy.rls import add_rate_limit_service
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
        return holder.leads(stale_after_s)

    clock = holder.clock
    quotas = QuotaService(app.state.lease_service, clock)
    keda = ExternalScaler(holder, stale_after_s)
    hosted = [
        Hosted(lambda server: add_rate_limit_service(server, decide), leads),
        Hosted(quotas.add, leads, quotas.close),
        # KEDA has certificates to show, but no token.
        Hosted(keda.add, fresh, keda.close, by_certificate=True),
    ]
    tokens = Tokens(settings.tokens, clock) if settings.tokens else None
    return RpcServer(address, hosted, fresh, tokens)

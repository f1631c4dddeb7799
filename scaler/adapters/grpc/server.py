"""The gRPC server. It shares the event loop of HTTP, to which the lease service is confined."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from scaler.adapters.grpc.access import LIMITS_RULE, AccessCheck, CallAccess, CallRule
from scaler.adapters.http.certificates import RenewedCertificate, Tls, TlsFiles
from scaler.adapters.http.connections import file_limit, most_connections
from scaler.adapters.http.server import Address
from scaler.errors import ServingError

LOG = logging.getLogger(__name__)
# On a stop, running calls may take this long; streams are cut off after it.
GRACE_S = 2.0
# How often the health of the services is updated.
HEALTH_S = 0.5
MAX_MESSAGE_BYTES = 256 * 1024
MAX_CALLS = 2000
# Longer is no client of ours between opening a connection and saying what it wants.
HANDSHAKE_MS = 5000
# gRPC cannot bound the number of connections, so one that nobody uses is closed. Clients make a new
# one when they need it.
IDLE_MS = 300_000

OPTIONS = (
    # Otherwise a second server on the same port would silently receive half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ("grpc.max_connection_idle_ms", IDLE_MS),
)


@dataclass(frozen=True, slots=True)
class Hosted:
    """A service to host.

    Attributes:
        add: adds the service to a `grpc.aio.Server` and returns its full name with the package.
        serves: whether it can reply now; the health service reports this under that name.
        close: called when the server stops, so that streams can end in order.
        rule: what it asks of its callers.
    """

    add: Callable[[Any], str]
    serves: Callable[[], bool]
    close: Callable[[], None] = lambda: None
    rule: CallRule = LIMITS_RULE


class RpcServer:
    """An async context manager: listens from entry to exit.

    Args:
        address: where to listen.
        hosted: the services.
        fresh: whether the snapshot is fresh, which is the health of the server as a whole.
        access: says what a caller may do; None: everything.
    """

    def __init__(
        self,
        address: Address,
        hosted: Sequence[Hosted],
        fresh: Callable[[], bool],
        access: CallAccess | None = None,
    ) -> None:
        self._address, self._hosted = address, tuple(hosted)
        self._access = access or CallAccess(None)
        self._serves: dict[str, Callable[[], bool]] = {"": fresh}
        self._health = health.aio.HealthServicer()
        self._server: Any = None
        self._health_task: asyncio.Task[None] | None = None
        self.port = address.port

    async def __aenter__(self) -> RpcServer:
        rules: dict[str, CallRule] = {}
        self._server = grpc.aio.server(
            interceptors=[AccessCheck(self._access, rules)],
            options=OPTIONS,
            maximum_concurrent_rpcs=min(MAX_CALLS, most_connections(file_limit())),
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for one in self._hosted:
            name = one.add(self._server)
            self._serves[name], rules[name] = one.serves, one.rule
        self.port = self._bind()
        await self._update_health()
        await self._server.start()
        self._health_task = asyncio.create_task(self._keep_health())
        LOG.info("grpc host=%s port=%d services=%s", self._address.host, self.port, self.services)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._health_task is not None:
            self._health_task.cancel()
        await self._health.enter_graceful_shutdown()
        for one in self._hosted:
            one.close()
        await self._server.stop(GRACE_S)

    @property
    def services(self) -> list[str]:
        """Full names of the hosted services."""
        return [name for name in self._serves if name]

    def _bind(self) -> int:
        host, port = self._address.host, self._address.port
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._address.tls is None:
                bound = self._server.add_insecure_port(target)
            else:
                credentials = _credentials(self._address.tls)
                bound = self._server.add_secure_port(target, credentials)
        except RuntimeError as error:
            raise ServingError(f"cannot listen on {target} for gRPC: {error}") from error
        if not bound:
            raise ServingError(f"cannot listen on {target} for gRPC")
        return int(bound)

    async def _keep_health(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_S)
            try:
                await self._update_health()
            except Exception:
                # The loop must go on: without it a server would seem to serve, or not, for ever.
                LOG.exception("the health of the gRPC services could not be updated")

    async def _update_health(self) -> None:
        states = health_pb2.HealthCheckResponse
        for name, serves in self._serves.items():
            await self._health.set(name, states.SERVING if serves() else states.NOT_SERVING)


def _credentials(tls: Tls) -> Any:  # noqa: ANN401 - the library has no types
    """Return the TLS credentials of the server, which is asked for them at each handshake.

    Raises:
        ServingError: a file cannot be read, or is no certificate.
    """
    certificate = RenewedCertificate(tls)
    given = certificate.latest()

    def fetch() -> Any:  # noqa: ANN401 - as above
        nonlocal given
        latest = certificate.latest()
        if latest is given:
            return None
        given = latest
        return _configuration(latest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given), fetch, require_client_authentication=tls.client_ca is not None
    )


def _configuration(files: TlsFiles) -> Any:  # noqa: ANN401 - the library has no types
    pair = (files.key, files.certificate)
    return grpc.ssl_server_certificate_configuration([pair], files.client_ca)

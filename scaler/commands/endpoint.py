"""The endpoint of a command: what publishes boards to whoever asks for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scaler.adapters.http.server import Address
    from scaler.adapters.http.settings import ApiSettings
    from scaler.adapters.tracing import Tracing
    from scaler.commands.run_journal import RunJournal
    from scaler.control.snapshot import Snapshot

# Conditions that say that a call has failed, and whose.
FAILURES = {"QueryFailed": "prometheus", "ClusterFailed": "kubernetes"}


def serve(listen: str, stack: contextlib.ExitStack) -> Callable[[Snapshot], None]:
    """Start an endpoint without tokens, on loopback; return what publishes a board to it."""
    from scaler.adapters.http.server import Address
    from scaler.adapters.http.settings import ApiSettings
    from scaler.commands.run_options import host_port

    return served(ApiSettings(), Address(*host_port(listen, "--listen")), stack)


def served(
    settings: ApiSettings,
    address: Address,
    stack: contextlib.ExitStack,
    tracing: Tracing | None = None,
    rpc: Address | None = None,
    journal: RunJournal | None = None,
) -> Callable[[Snapshot], None]:
    """Start an endpoint; return what publishes a board to it.

    Args:
        settings: how it behaves, and who may ask.
        address: of HTTP; rpc: of gRPC, None: nowhere.
        stack: that stops it.
        tracing: of requests.
        journal: that gateways' calls are recorded in.
    """
    from scaler.adapters.dashboard import page
    from scaler.adapters.http.app import add_page, create_app
    from scaler.adapters.http.metrics import Telemetry
    from scaler.adapters.http.server import ApiServer, check_access
    from scaler.adapters.http.snapshot_holder import SnapshotHolder
    from scaler.commands.grpc_server import beside

    check_access(address, settings)
    holder = SnapshotHolder()
    telemetry = Telemetry(holder)
    trusted = address.tls is not None and address.tls.client_ca is not None
    lease_service = None
    if journal is not None:
        lease_service, telemetry.journal = journal.leases(holder, settings), journal.health
    app = create_app(
        holder, settings, telemetry=telemetry, lease_service=lease_service, trusted_peers=trusted
    )
    add_page(app, *page())
    if tracing is not None:
        tracing.instrument(app)
    server = stack.enter_context(ApiServer(app, address, beside(app, holder, settings, rpc)))
    print(f"serving {server.url}", flush=True)

    def publish(snapshot: Snapshot) -> None:
        telemetry.observe(snapshot)
        for condition in (c for view in snapshot.services.values() for c in view.conditions):
            if condition.reason in FAILURES:
                telemetry.failed(FAILURES[condition.reason], condition.reason)
        holder.publish(snapshot)

    return publish

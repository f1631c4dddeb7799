"""The HTTP endpoint of a command, which serves the snapshots that are published to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scaler.adapters.http.reported_demand import ReportedDemand
    from scaler.adapters.http.server import Address
    from scaler.adapters.http.settings import ApiSettings
    from scaler.adapters.tracing import Tracing
    from scaler.commands.run_journal import RunJournal
    from scaler.control.reign import Reign
    from scaler.control.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointParts:
    """What an endpoint may have beside HTTP.

    Attributes:
        tracing: of requests.
        rpc: where gRPC is served; None: nowhere.
        journal: records what gateways ask.
        reports: takes in what gateways report; None: nobody asks for it.
        reign: whether this replica may hand out limits at this instant; None: as the tick says.
    """

    tracing: Tracing | None = None
    rpc: Address | None = None
    journal: RunJournal | None = None
    reports: ReportedDemand | None = None
    reign: Callable[[], Reign | None] = lambda: None


ALONE = EndpointParts()


def serve(listen: str, stack: contextlib.ExitStack) -> Callable[[Snapshot], None]:
    """Start an endpoint without tokens; return the function that publishes a snapshot to it."""
    from scaler.adapters.http.server import Address
    from scaler.adapters.http.settings import ApiSettings
    from scaler.commands.run_options import host_port

    # Nothing has issued leases before: the services are simulated.
    settings = ApiSettings(learns_shares=False)
    return served(settings, Address(*host_port(listen, "--listen")), stack)


def served(
    settings: ApiSettings,
    address: Address,
    stack: contextlib.ExitStack,
    parts: EndpointParts = ALONE,
) -> Callable[[Snapshot], None]:
    """Start an endpoint; return the function that publishes a snapshot to it.

    Args:
        settings: of its behaviour and access.
        address: where HTTP is served.
        stack: stops it when it is closed.
        parts: what it has beside that.
    """
    from scaler.adapters.dashboard import page
    from scaler.adapters.http.app import add_page, create_app
    from scaler.adapters.http.metrics import Telemetry
    from scaler.adapters.http.server import ApiServer, check_access
    from scaler.adapters.http.snapshot_holder import SnapshotHolder
    from scaler.commands.grpc_server import background_services
    from scaler.control.publication import in_turn

    check_access(address, settings)
    holder = SnapshotHolder(reign=parts.reign)
    telemetry = Telemetry(holder)
    trusted = address.tls is not None and address.tls.client_ca is not None
    lease_service = None
    if parts.journal is not None:
        lease_service = parts.journal.leases(holder, settings)
        telemetry.journal = parts.journal.health
    app = create_app(
        holder, settings, telemetry=telemetry, lease_service=lease_service, trusted_peers=trusted
    )
    if parts.reports is not None:
        app.state.lease_service.reports = parts.reports
    add_page(app, page)
    if parts.tracing is not None:
        parts.tracing.instrument(app)
    server = ApiServer(app, address, background_services(app, holder, settings, parts.rpc))
    telemetry.refused_connections = lambda: server.refused_connections
    if server.certificate is not None:
        telemetry.certificate_expiries = server.certificate.expiries
    stack.enter_context(server)
    print(f"serving {server.url}", flush=True)
    # Limits first: whatever else fails or takes its time.
    return in_turn([holder.publish, telemetry.observe])

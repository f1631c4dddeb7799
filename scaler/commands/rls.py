"""`scaler rls`: an Envoy rate limit service that decides by leases fetched over HTTP."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.clocks.steady import steady_seconds
from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.adapters.envoy.remote_limiters import PolledLimiters
    from scaler.adapters.http.server import Address


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "Envoy's rate limit filter asks this process, which takes its own share of the\n"
        "limit. While tidegate cannot be reached, it follows its last lease: the\n"
        "schedule, then the safe limit.\n\n"
        "example:\n"
        "  scaler rls --endpoint http://tidegate-limits.tidegate:8080 --service prod/shop"
    )
    parser.add_argument("--endpoint", metavar="URL", required=True, help="of tidegate's HTTP API")
    parser.add_argument(
        "--service", metavar="NAMESPACE/NAME", action="append", required=True,
        help="service to limit, repeatable; requests of other services are not limited",
    )  # fmt: skip
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:8081",
        help="where gRPC is served (default %(default)s)",
    )
    parser.add_argument(
        "--instance", help="name of this gateway; must be unique (default: the host's name)"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", type=Path, help="holds the bearer token for the endpoint"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="decide and count, but reject nothing"
    )
    parser.add_argument(
        "--allow-anonymous",
        action="store_true",
        help="listen on other addresses than loopback without tokens",
    )


def run(args: argparse.Namespace) -> int:
    from scaler.commands.run_options import host_port

    try:
        from scaler.adapters.envoy.remote_limiters import PolledLimiters
        from scaler.adapters.grpc import server as grpc_server  # noqa: F401 - imported to see that it is installed
        from scaler.adapters.http.server import Address, check_access
        from scaler.adapters.http.settings import ApiSettings
        from scaler.gateway.lease_limiter import LimiterSettings
    except ModuleNotFoundError as error:
        raise PolicyError(
            f"scaler rls needs {error.name}, which is not installed; "
            "install it by: pip install 'tidegate[client,grpc]'"
        ) from error
    if not args.endpoint.startswith(("http://", "https://")):
        raise PolicyError(f"--endpoint is {args.endpoint!r}, but must be http://... or https://...")
    address = Address(*host_port(args.listen, "--listen"))
    check_access(address, ApiSettings(allow_anonymous=args.allow_anonymous))
    instance = re.sub(r"[^A-Za-z0-9._:-]", "-", args.instance or socket.gethostname())[:128]
    services = [
        LimiterSettings(one, instance, dry_run=args.dry_run) for one in dict.fromkeys(args.service)
    ]
    limiters = PolledLimiters(services, args.endpoint, args.token_file, steady_seconds)
    asyncio.run(_serve(limiters, address))
    return 0


async def _serve(limiters: PolledLimiters, address: Address) -> None:
    """Serve until SIGTERM or SIGINT."""
    from scaler.adapters.envoy.decider import RateLimitDecider
    from scaler.adapters.envoy.rls import add_rate_limit_service
    from scaler.adapters.grpc.server import Hosted, RpcServer

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    decider = RateLimitDecider(limiters, steady_seconds)
    # Always ready: without a lease it admits everything, as any gateway does.
    hosted = Hosted(lambda server: add_rate_limit_service(server, decider.decide), lambda: True)
    async with limiters, RpcServer(address, [hosted], lambda: True) as server:
        print(f"deciding on {address.host}:{server.port}", flush=True)
        await stop.wait()

"""What `scaler run` can be told, and the endpoint that its options ask for."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.commands.run_journal import add_journal_arguments
from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.adapters.http.server import Address
    from scaler.adapters.http.settings import ApiSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from forecaster.commands.sources import add_access_arguments

    parser.add_argument("--prometheus", metavar="URL", required=True, help="base URL")
    parser.add_argument(
        "--models", metavar="PATH", default="models/", help="registry (%(default)s)"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  scaler run --prometheus http://127.0.0.1:9090 --policies policies/ --no-cluster --once\n"
        "  scaler run --prometheus http://prometheus.monitoring.svc:9090 --leader-elect \\\n"
        "    --listen 0.0.0.0:8080 --token-file tokens"
    )
    parser.add_argument(
        "--tick", metavar="SPAN", default="15s", help="between two decisions (%(default)s)"
    )
    parser.add_argument(
        "--once", action="store_true", help="decide once, print what would be done, and exit"
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="(%(default)s)"
    )
    parser.add_argument(
        "--otlp", metavar="URL", help="send traces to this collector (OTLP over HTTP, as JSON)"
    )
    add_journal_arguments(parser.add_argument_group("journal"))
    _add_cluster_arguments(parser.add_argument_group("policies and cluster"))
    _add_endpoint_arguments(parser.add_argument_group("endpoint"))
    access = parser.add_argument_group("access to Prometheus")
    add_access_arguments(access)
    access.add_argument("--timeout", metavar="SPAN", default="5s", help="default %(default)s")
    access.add_argument("--retries", metavar="N", type=int, default=1, help="default %(default)s")


def _add_cluster_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--policies", metavar="PATH", type=Path, action="append", default=[],
        help="a policy file or a directory of them, repeatable; without it, the DemandPolicies "
        "of the cluster",
    )  # fmt: skip
    group.add_argument(
        "--no-cluster", action="store_true",
        help="touch no cluster: plans are taken to be carried out (with --policies)",
    )  # fmt: skip
    group.add_argument("--kubeconfig", metavar="FILE", type=Path, help="to reach the cluster by")
    group.add_argument("--context", help="of that file (default: its current one)")
    group.add_argument("--namespace", help="the only one to watch (default: all)")
    group.add_argument(
        "--leader-elect", action="store_true", help="act only while holding the Lease"
    )
    group.add_argument(
        "--identity", metavar="NAME", default=socket.gethostname(),
        help="of this replica, in the Lease and in Events; no other may have it (the host's name)",
    )  # fmt: skip
    group.add_argument(
        "--lease-duration", metavar="SPAN", default="15s",
        help="after which another replica takes over from one that is silent (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--lease-namespace",
        metavar="NAMESPACE",
        default="tidegate",
        help="of the Lease and of our pods (%(default)s)",
    )


def _add_endpoint_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:8080", help="default %(default)s"
    )
    group.add_argument(
        "--grpc-listen", metavar="HOST:PORT",
        help="also serve gRPC there: Envoy's rate limit services and KEDA's external scaler "
        "(needs the extra: tidegate[grpc]; same access and TLS)",
    )  # fmt: skip
    group.add_argument("--token-file", metavar="FILE", type=Path, help="bearer tokens, one a line")
    group.add_argument("--allow-anonymous", action="store_true", help="serve without a token")
    group.add_argument("--tls-cert", metavar="FILE", type=Path, help="PEM, to serve TLS")
    group.add_argument("--tls-key", metavar="FILE", type=Path, help="PEM, its key")
    group.add_argument(
        "--client-ca", metavar="FILE", type=Path, help="clients must show a certificate of it"
    )


def api_settings(args: argparse.Namespace) -> ApiSettings:
    """Return how the endpoint behaves.

    Raises:
        PolicyError: options exclude each other.
    """
    from scaler.adapters.http.settings import ApiSettings

    if args.token_file is not None and args.allow_anonymous:
        raise PolicyError("--token-file and --allow-anonymous exclude each other; choose one")
    return ApiSettings(tokens=args.token_file, allow_anonymous=args.allow_anonymous)


def address_of(args: argparse.Namespace, listen: str, option: str) -> Address:
    """Return where to listen, by the value of an option.

    Raises:
        PolicyError: that is no address, or options belong together.
    """
    from scaler.adapters.http.server import Address, Tls

    host, port = host_port(listen, option)
    if (args.tls_cert is None) != (args.tls_key is None):
        raise PolicyError("--tls-cert and --tls-key belong together; give both")
    if args.client_ca is not None and args.tls_cert is None:
        raise PolicyError("--client-ca needs --tls-cert and --tls-key")
    tls = Tls(args.tls_cert, args.tls_key, args.client_ca) if args.tls_cert else None
    return Address(host, port, tls)


def host_port(listen: str, option: str) -> tuple[str, int]:
    """Return host and port of an option's value; without a host: any address."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise PolicyError(f"{option} is {listen!r}, but must look like 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - as asked for

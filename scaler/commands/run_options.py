"""The options of `scaler run`, and the endpoint that they describe."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.documents import add_output_argument
from forecaster.commands.sources import add_access_arguments, add_retry_arguments
from forecaster.commands.stored_models import add_registry_argument
from scaler.commands.run_journal import add_journal_arguments
from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.adapters.http.server import Address
    from scaler.adapters.http.settings import ApiSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prometheus", metavar="URL", required=True, help="base URL")
    add_registry_argument(parser)
    parser.add_argument(
        "--anchors",
        metavar="DIR",
        help="keep what forecasts are computed from there, so that a restart goes on where it was",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  scaler run --prometheus http://127.0.0.1:9090 --policies policies/ \\\n"
        "    --no-cluster --once\n"
        "  scaler run --prometheus http://prometheus.monitoring.svc:9090 --leader-elect \\\n"
        "    --listen 0.0.0.0:8080 --token-file tokens"
    )
    parser.add_argument(
        "--tick",
        metavar="SPAN",
        default="15s",
        help="time between two decisions (default %(default)s)",
    )
    parser.add_argument(
        "--once", action="store_true",
        help="decide once, print what would be done, and exit; with 2 if no demand is measured",
    )  # fmt: skip
    add_output_argument(parser)
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="default %(default)s"
    )
    parser.add_argument(
        "--otlp", metavar="URL", help="send traces to this collector (OTLP over HTTP, as JSON)"
    )
    add_journal_arguments(parser.add_argument_group("journal"))
    _add_cluster_arguments(parser.add_argument_group("policies and cluster"))
    _add_endpoint_arguments(parser.add_argument_group("endpoint"))
    access = parser.add_argument_group("access to Prometheus")
    add_access_arguments(access)
    add_label_argument(access)
    add_retry_arguments(access, timeout="5s", retries=1)


def add_label_argument(parser: argparse._ActionsContainer) -> None:
    """Add ``--enforce-namespace-label``."""
    parser.add_argument(
        "--enforce-namespace-label", metavar="LABEL",
        help="every selector of a policy's queries gets this label with the policy's namespace, "
        "and a query that asks for another is refused (default: a policy may query anything)",
    )  # fmt: skip


def add_kubeconfig_arguments(
    parser: argparse._ActionsContainer,
    meaning: str = "how to reach the cluster (default: the pod's service account, else KUBECONFIG)",
) -> None:
    """Add ``--kubeconfig`` and ``--context``."""
    parser.add_argument("--kubeconfig", metavar="FILE", type=Path, help=meaning)
    parser.add_argument("--context", help="of the kubeconfig (default: its current one)")


def _add_cluster_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--policies", metavar="PATH", type=Path, action="append", default=[],
        help="a policy file or a directory of them, repeatable; without it, the DemandPolicies "
        "of the cluster",
    )  # fmt: skip
    group.add_argument(
        "--no-cluster", action="store_true",
        help="use no cluster: plans are published and taken as carried out, and ready replicas "
        "are counted by capacity.replicasQuery (needs --policies)",
    )  # fmt: skip
    add_kubeconfig_arguments(group)
    group.add_argument("--namespace", help="the only one to watch (default: all)")
    group.add_argument(
        "--leader-elect", action="store_true", help="act only while holding the Lease"
    )
    group.add_argument(
        "--identity", metavar="NAME", default=socket.gethostname(),
        help="of this replica in the Lease and in Events, unique (default: the host's name)",
    )  # fmt: skip
    group.add_argument(
        "--lease-duration", metavar="SPAN", default="15s",
        help="another replica takes over from a silent one after this; while the API server is "
        "away, who led last hands out limits for twice as long (default %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--lease-namespace",
        metavar="NAMESPACE",
        default="tidegate",
        help="of the Lease and of tidegate's pods (default %(default)s)",
    )


def _add_endpoint_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        help="where HTTP is served (default %(default)s)",
    )
    group.add_argument(
        "--grpc-listen", metavar="HOST:PORT",
        help="also serve gRPC there: Envoy's rate limit services and KEDA's external scaler "
        "(needs tidegate[grpc]; with the same tokens and TLS)",
    )  # fmt: skip
    group.add_argument(
        "--token-file", metavar="FILE", type=Path,
        help="who may ask for what, read again when it changes; a line is: TOKEN "
        "[role=gateway|read|metrics] [namespaces=a,b|*] [name=NAME] [instances=N], or cert:NAME "
        "role=... for a certificate of --client-ca",
    )  # fmt: skip
    group.add_argument(
        "--allow-anonymous",
        action="store_true",
        help="listen on other addresses than loopback without tokens",
    )
    group.add_argument("--tls-cert", metavar="FILE", type=Path, help="PEM, to serve TLS")
    group.add_argument("--tls-key", metavar="FILE", type=Path, help="PEM, its key")
    group.add_argument(
        "--client-ca",
        metavar="FILE",
        type=Path,
        help="clients must present a certificate of this CA; with --token-file also a token, "
        "unless a line names the certificate",
    )


def api_settings(args: argparse.Namespace) -> ApiSettings:
    """Return the settings of the endpoint."""
    from forecaster.commands.spans import span
    from scaler.adapters.http.settings import ApiSettings, stale_after_s

    return ApiSettings(
        stale_after_s=stale_after_s(span(args.tick, "--tick").total_seconds()),
        tokens=args.token_file,
        allow_anonymous=args.allow_anonymous,
    )


def address_of(args: argparse.Namespace, listen: str, option: str) -> Address:
    """Return the address that an option gives, with TLS if that is configured.

    Raises:
        PolicyError: it is no address.
    """
    from scaler.adapters.http.certificates import Tls
    from scaler.adapters.http.server import Address

    host, port = host_port(listen, option)
    tls = Tls(args.tls_cert, args.tls_key, args.client_ca) if args.tls_cert else None
    return Address(host, port, tls)


def host_port(listen: str, option: str) -> tuple[str, int]:
    """Return host and port of an option's value; without a host, all addresses."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise PolicyError(f"{option} is {listen!r}, but must look like 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - the user asked for it

"""What is refused about the options of `scaler run` before anything is loaded or contacted."""

from __future__ import annotations

import argparse
from pathlib import Path

from forecaster.commands.spans import span
from scaler.commands.run_options import host_port
from scaler.errors import PolicyError

# What is of a cluster alone.
_CLUSTER = {
    "kubeconfig": "--kubeconfig",
    "context": "--context",
    "leader_elect": "--leader-elect",
}
_FILES = (
    *("kubeconfig", "token_file", "tls_cert", "tls_key", "client_ca"),
    *("bearer_token_file", "password_file", "client_cert", "client_key", "ca_file"),
)


def check_options(args: argparse.Namespace) -> None:
    """Raise if options exclude each other, say nothing, or name files that are not there.

    Raises:
        PolicyError: of the endpoint, the policies or the cluster.
        ConfigError: a duration is none.
    """
    if args.no_cluster:
        _check_without_cluster(args)
    if args.token_file is not None and args.allow_anonymous:
        raise PolicyError("--token-file and --allow-anonymous exclude each other; choose one")
    if (args.tls_cert is None) != (args.tls_key is None):
        raise PolicyError("--tls-cert and --tls-key belong together; give both")
    if args.client_ca is not None and args.tls_cert is None:
        raise PolicyError("--client-ca needs --tls-cert and --tls-key")
    host_port(args.listen, "--listen")
    if args.grpc_listen is not None:
        host_port(args.grpc_listen, "--grpc-listen")
    for option in ("tick", "lease_duration", "timeout"):
        span(getattr(args, option), f"--{option.replace('_', '-')}")
    for path in args.policies:
        _check_file("--policies", path)
    for name in _FILES:
        _check_file(f"--{name.replace('_', '-')}", getattr(args, name))


def _check_without_cluster(args: argparse.Namespace) -> None:
    if not args.policies:
        raise PolicyError(
            "--no-cluster needs --policies: without a cluster, policies are read from files"
        )
    given = [option for name, option in _CLUSTER.items() if getattr(args, name)]
    if given:
        raise PolicyError(f"--no-cluster and {', '.join(given)} exclude each other; choose one")


def _check_file(option: str, path: Path | None) -> None:
    if path is not None and not path.exists():
        raise PolicyError(f"{option} is {path}, which does not exist; check the path")

"""Where `scaler get` and `scaler why` ask: the endpoint, the cluster, or a journal."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scaler.commands.run_options import add_kubeconfig_arguments
from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.adapters.endpoint_client import EndpointClient
    from scaler.adapters.kube.client import KubernetesApi
    from scaler.simulation.journal_answer import JournalAnswer

ENDPOINT = "http://127.0.0.1:8080"
POLICIES = "policies"

Record = dict[str, Any]


class ServiceSource(Protocol):
    """Tells of services, in the keys of the endpoint's views.

    Attributes:
        pause_s: between two looks at what changes.
    """

    pause_s: float

    def records(self, kind: str, wanted: Callable[[str], bool]) -> list[Record]:
        """Return what a kind of `scaler get` shows of the services that are wanted, by name."""
        ...

    def now(self) -> float:
        """Return the moment that ages are counted to, in seconds since the epoch."""
        ...


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where it is asked")
    group.add_argument(
        "--endpoint", metavar="URL", help=f"of a running scaler (default: {ENDPOINT})"
    )
    group.add_argument(
        "--token-file", metavar="FILE", type=Path, help="holds the bearer token for the endpoint"
    )
    add_kubeconfig_arguments(group, "ask a cluster: the status of its DemandPolicies")
    group.add_argument(
        "--journal", metavar="DIR", type=Path, help="ask what 'scaler run --journal' has recorded"
    )
    group.add_argument(
        "--at", metavar="TIME",
        help="of the journal: ISO-8601 with zone, back from its end (-1h), or a time of its last "
        "day in UTC (03:12); default: its end",
    )  # fmt: skip


def check_sources(args: argparse.Namespace) -> None:
    """Raise PolicyError if the options name two sources, or say something of another one."""
    cluster = args.kubeconfig is not None or args.context is not None
    given = {"--endpoint": args.endpoint is not None, "--kubeconfig": cluster}
    given["--journal"] = args.journal is not None
    named = [option for option, is_given in given.items() if is_given]
    if len(named) > 1:
        raise PolicyError(f"{' and '.join(named)} exclude each other; choose one")
    if args.at is not None and args.journal is None:
        raise PolicyError("--at needs --journal: everything else tells of now alone")
    if args.token_file is not None and (cluster or args.journal is not None):
        raise PolicyError(f"--token-file is of --endpoint, not of {named[0]}")


def named_service(given: str, namespace: str | None, what: str) -> tuple[str | None, str]:
    """Return the namespace and the name that are meant; the namespace is None where none is said.

    Args:
        given: namespace/name, or a name alone.
        namespace: of the option ``-n``.
        what: the argument, as the message of an error calls it.

    Raises:
        PolicyError: the two say different namespaces.
    """
    its_own, slash, name = given.rpartition("/")
    if slash and namespace not in (None, its_own):
        raise PolicyError(f"{what} is {given!r}, which is not in -n {namespace}")
    return its_own or namespace, name


def source_of(args: argparse.Namespace) -> ServiceSource:
    """Return the source that the options name, once they are checked; raises ScalerError."""
    if args.journal is not None:
        from scaler.commands.replay_journal import answered

        return JournalSource(answered(args.journal, None, args.at or "now")[1])
    if args.kubeconfig is not None or args.context is not None:
        from scaler.adapters.kube.client import connected

        return ClusterSource(connected(args.kubeconfig, args.context), args.namespace)
    return EndpointSource(endpoint_of(args))


def endpoint_of(args: argparse.Namespace) -> EndpointClient:
    from scaler.adapters.endpoint_client import EndpointClient

    return EndpointClient(args.endpoint or ENDPOINT, args.token_file)


class EndpointSource:
    """Asks a running scaler."""

    pause_s = 2.0

    def __init__(self, client: EndpointClient) -> None:
        self._client = client

    def records(self, kind: str, wanted: Callable[[str], bool]) -> list[Record]:
        found = [one for one in self._client.services() if wanted(one["service"])]
        if kind == POLICIES:
            return found
        return [self._client.service(one["service"]) for one in found]

    def now(self) -> float:
        return time.time()  # noqa: TID251 - a command reads the clock


class ClusterSource:
    """Asks for the status of DemandPolicies."""

    pause_s = 5.0

    def __init__(self, api: KubernetesApi, namespace: str | None) -> None:
        self._api, self._namespace = api, namespace

    def records(self, kind: str, wanted: Callable[[str], bool]) -> list[Record]:  # noqa: ARG002 - a status has one form
        from scaler.adapters.kube.policy_records import policy_records

        found = policy_records(self._api, self._namespace)
        by_name = {one["service"]: one for one in found if wanted(one["service"])}
        return [by_name[name] for name in sorted(by_name)]

    def now(self) -> float:
        return time.time()  # noqa: TID251 - as above


class JournalSource:
    """Tells of one moment of a journal."""

    pause_s = 0.0

    def __init__(self, answer: JournalAnswer) -> None:
        assert answer.found is not None
        self._snapshot = answer.found.snapshot

    def records(self, kind: str, wanted: Callable[[str], bool]) -> list[Record]:  # noqa: ARG002 - all is at hand
        from scaler.adapters.http.views import service_view

        services = sorted(self._snapshot.services.items())
        return [service_view(view) for name, view in services if wanted(name)]

    def now(self) -> float:
        return self._snapshot.at

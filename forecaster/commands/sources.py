"""The options of a query to Prometheus, and the series that they fetch.

Shared by every command that reads Prometheus. `--help` loads this module, so libraries are imported
where they are needed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.log_lines import printable
from forecaster.commands.spans import accept_relative_moments, moment, span
from forecaster.errors import ConfigError

if TYPE_CHECKING:
    from forecaster.adapters.prometheus.fetch import Fetched, Progress, RangeQuery
    from forecaster.adapters.prometheus.settings import PrometheusSettings

DEFAULT_STEP = "60s"


def add_prometheus_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--prometheus`` and the options that belong to it.

    Args:
        parser: of a command.
        required: the history can only come from Prometheus, not from a file.
    """
    accept_relative_moments(parser)
    what = parser.add_argument_group("history from Prometheus")
    what.add_argument("--prometheus", metavar="URL", required=required, help="base URL")
    what.add_argument(
        "--query",
        metavar="PROMQL",
        required=required,
        help="requests per second, e.g. 'sum by (namespace, service) (rate(requests_total[5m]))'",
    )
    when = "ISO-8601 with zone, 'now', or back from now: -28d (default %(default)s)"
    what.add_argument("--start", metavar="WHEN", default="-28d", help=when)
    what.add_argument("--end", metavar="WHEN", default="now", help=f"not included; {when}")
    what.add_argument(
        "--step",
        metavar="SPAN",
        default=DEFAULT_STEP if required else None,
        help=f"spacing of the samples (default {'' if required else 'that of FILE, or '}"
        f"{DEFAULT_STEP})",
    )
    what.add_argument(
        "--item-label",
        metavar="LABEL",
        action="append",
        default=[],
        help="label that names the item; repeat to join by '/' (default: all labels)",
    )
    add_access_arguments(parser.add_argument_group("access to Prometheus"))
    _add_fetch_arguments(parser.add_argument_group("how to fetch"))


def add_access_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the options for credentials, but not ``--prometheus`` itself."""
    group.add_argument("--bearer-token-file", metavar="FILE", type=Path, help="holds the token")
    group.add_argument("--username", metavar="NAME", help="for basic authentication")
    group.add_argument("--password-file", metavar="FILE", type=Path, help="holds its password")
    group.add_argument("--client-cert", metavar="FILE", type=Path, help="PEM, for mutual TLS")
    group.add_argument(
        "--client-key", metavar="FILE", type=Path, help="PEM, if it is not in the former"
    )
    group.add_argument("--ca-file", metavar="FILE", type=Path, help="PEM of the CA to trust")
    group.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help="sent with every request, e.g. 'X-Scope-OrgID: team-a'; repeatable",
    )


def add_retry_arguments(group: argparse._ArgumentGroup, *, timeout: str, retries: int) -> None:
    """Add ``--timeout`` and ``--retries`` with their defaults."""
    group.add_argument(
        "--timeout",
        metavar="SPAN",
        default=timeout,
        help="longest wait for an answer (default %(default)s)",
    )
    group.add_argument(
        "--retries",
        metavar="N",
        type=int,
        default=retries,
        help="after 429, 5xx, a time-out or a broken connection (default %(default)s)",
    )


def _add_fetch_arguments(group: argparse._ArgumentGroup) -> None:
    add_retry_arguments(group, timeout="30s", retries=5)
    group.add_argument(
        "--chunk-points",
        metavar="N",
        type=int,
        default=10_000,
        help="samples per series and request (default %(default)s)",
    )
    group.add_argument(
        "--cache-dir",
        metavar="DIR",
        type=Path,
        help="finished chunks, reused for 7 days (default ~/.cache/tidegate)",
    )
    group.add_argument("--no-cache", action="store_true", help="fetch all chunks again")


def settings_from(args: argparse.Namespace) -> PrometheusSettings:
    """Return the server and the credentials; raises ConfigError."""
    from forecaster.adapters.prometheus.settings import PrometheusSettings

    return PrometheusSettings(
        url=args.prometheus,
        bearer_token_file=args.bearer_token_file,
        username=args.username,
        password_file=args.password_file,
        client_cert=args.client_cert,
        client_key=args.client_key,
        ca_file=args.ca_file,
        headers=tuple(_header(text) for text in args.header),
        timeout=span(args.timeout, "--timeout"),
        retries=args.retries,
    )


def query_from(args: argparse.Namespace, *, now: datetime) -> RangeQuery:
    """Return what to fetch; raises ConfigError."""
    from forecaster.adapters.prometheus.fetch import RangeQuery

    if not args.query:
        raise ConfigError("--prometheus needs --query, the PromQL of requests per second")
    step = span(args.step, "--step")
    return RangeQuery(
        promql=args.query,
        start=moment(args.start, "--start", now=now, step=step),
        end=moment(args.end, "--end", now=now, step=step),
        step=step,
        item_labels=tuple(args.item_label),
        chunk_points=args.chunk_points,
    )


def fetch_from(args: argparse.Namespace, *, now: datetime) -> Fetched:
    """Fetch what the options name, showing progress on stderr.

    Raises:
        ConfigError: an option is wrong.
        PrometheusError: the server refuses the query, cannot be reached, or has no such series.
    """
    from forecaster.adapters.prometheus.client import PrometheusSource
    from forecaster.adapters.prometheus.fetch import cache_for, fetch

    settings, query = settings_from(args), query_from(args, now=now)
    root = args.cache_dir or _default_cache()
    cache = None if args.no_cache else cache_for(root, settings.identity, query)
    with PrometheusSource(settings) as source, _progress() as show:
        fetched = fetch(source, query, now=now, cache=cache, on_progress=show)
    for warning in fetched.warnings:
        print(f"Prometheus warns: {printable(warning)}", file=sys.stderr)
    for chunk in fetched.left_out:
        first, last = (datetime.fromtimestamp(at, UTC) for at in (chunk.first, chunk.last))
        print(
            f"left out, for the answer is partial: {first.isoformat()} to {last.isoformat()}",
            file=sys.stderr,
        )
    if cache and fetched.progress.reused:
        reused, total = fetched.progress.reused, fetched.progress.total
        print(
            f"{reused} of {total} chunks came from {cache.folder}; --no-cache fetches them again",
            file=sys.stderr,
        )
    return fetched


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigError(f"--header must look like 'X-Scope-OrgID: team-a' (got {text[:20]!r})")
    return name.strip(), value.strip()


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")  # noqa: TID251 - a command may read the environment
    return (Path(base) if base else Path.home() / ".cache") / "tidegate" / "chunks"


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Show a bar on a terminal; elsewhere, print a line after each tenth."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from forecaster.commands.terminal import Terminal

    terminal = Terminal(stderr=True)
    if not terminal.is_terminal:
        yield _ProgressLines()
        return
    columns = (TextColumn("fetching"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda at: bar.update(task, completed=at.done, total=at.total)


class _ProgressLines:
    def __init__(self) -> None:
        self._tenth = 0

    def __call__(self, at: Progress) -> None:
        tenth = 10 * at.done // at.total
        if tenth > self._tenth:
            self._tenth = tenth
            print(f"fetched {at.done} of {at.total} chunks", file=sys.stderr, flush=True)

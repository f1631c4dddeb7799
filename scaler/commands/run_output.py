"""What `scaler run --once` prints: one line per service, and its errors and conditions."""

from __future__ import annotations

import math

from rich.console import Console
from rich.text import Text

from forecaster.commands.log_lines import printable_lines
from forecaster.commands.terminal import Terminal, figure, print_table, table_of
from scaler.adapters.http.views import explanation_view, snapshot_view
from scaler.control.snapshot import ConditionReason, ServiceView, Snapshot
from scaler.errors import MetricsError

HEADS = ("service,\nmode", "observed", "demand,\nwhy", "plan,\nwhy", "floor", "limit", "trust")


def print_snapshot(snapshot: Snapshot, console: Console | None = None) -> None:
    """Print the decision for each service, and what went wrong."""
    console = console or Terminal()
    table = table_of(HEADS, words=[HEADS[0], HEADS[-1]])
    for view in snapshot.services.values():
        table.add_row(*map(Text, _row(view)))
    print_table(console, table)
    for view in snapshot.services.values():
        faults = [view.error] if view.error else []
        faults += [f"{c.reason}: {c.message}" for c in view.conditions if not c.status]
        for text in faults:
            console.print(Text(printable_lines(f"{view.item_id}: {text}"), style="yellow"))


def snapshot_record(snapshot: Snapshot) -> dict[str, object]:
    """Return what the endpoint would tell of a snapshot, with the reasons of each decision."""
    reasons = [explanation_view(view) for _, view in sorted(snapshot.services.items())]
    return {**snapshot_view(snapshot), "reasons": reasons}


def check_measured(snapshot: Snapshot) -> None:
    """Raise MetricsError if no service's demand could be asked for, as where Prometheus is down."""
    failed = [
        one.message
        for view in snapshot.services.values()
        for one in view.conditions
        if one.reason is ConditionReason.QUERY_FAILED
    ]
    if failed and len(failed) == len(snapshot.services):
        raise MetricsError(f"the demand of no service could be measured: {failed[0]}")


def _row(view: ServiceView) -> tuple[str, ...]:
    decision, published = view.decision, view.published_limit
    name = f"{view.item_id}\n{view.policy.mode.value}"
    if decision is None:
        return name, *[""] * (len(HEADS) - 1)
    return (
        name,
        "" if view.observed_qps is None else _rate(view.observed_qps),
        f"{_rate(decision.demand.qps)}\n{decision.demand.reason.value}",
        f"{decision.plan.replicas}\n{decision.plan.reason.value.replace('_', ' ')}",
        "" if view.floor is None else str(view.floor),
        "" if published is None else _rate(published.limit.qps),
        view.trust.standing.value
        if view.trust is not None and view.forecast is not None
        else "none",
    )


def _rate(qps: float) -> str:
    return "unknown" if math.isnan(qps) else figure(qps)

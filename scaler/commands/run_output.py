"""What `scaler run --once` prints: one line per service, and its errors and conditions."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from forecaster.commands.log_lines import printable_lines
from forecaster.commands.terminal import Terminal, table_of
from scaler.control.snapshot import ServiceView, Snapshot

HEADS = ("service", "mode", "observed", "demand", "plan", "why", "floor", "limit", "trust")


def print_snapshot(snapshot: Snapshot, console: Console | None = None) -> None:
    """Print the decision for each service, and what went wrong."""
    console = console or Terminal()
    table = table_of(HEADS, words=["service", "mode", "trust"])
    for view in snapshot.services.values():
        table.add_row(*_row(view))
    console.print(table)
    for view in snapshot.services.values():
        faults = [view.error] if view.error else []
        faults += [f"{c.reason}: {c.message}" for c in view.conditions if not c.status]
        for text in faults:
            console.print(Text(printable_lines(f"{view.item_id}: {text}"), style="yellow"))


def _row(view: ServiceView) -> tuple[str, ...]:
    decision, published = view.decision, view.published_limit
    if decision is None:
        return view.item_id, view.policy.mode.value, *[""] * (len(HEADS) - 2)
    observed = "" if view.observed_qps is None else f"{view.observed_qps:,.4g}"
    return (
        view.item_id,
        view.policy.mode.value,
        observed,
        f"{decision.demand.qps:,.4g} ({decision.demand.reason.value})",
        str(decision.plan.replicas),
        decision.plan.reason.value.replace("_", " "),
        "" if view.floor is None else str(view.floor),
        "" if published is None else f"{published.limit.qps:,.4g}",
        view.trust.standing.value
        if view.trust is not None and view.forecast is not None
        else "none",
    )

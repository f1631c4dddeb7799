"""What `scaler demo --once` prints: the ledger of the simulated day."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from scaler.control.snapshot import Snapshot

HEADS = (
    "service",
    "replica-hours",
    "plain HPA",
    "saved",
    "seconds short",
    "plain HPA",
    "forecast held",
)


def print_ledger(snapshot: Snapshot, console: Console | None = None) -> None:
    """Print what each service's replicas cost beside those of a plain HPA."""
    console = console or Console()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, head in enumerate(HEADS):
        table.add_column(head.replace(" ", "\n", 1), justify="right" if i else "left")
    for view in snapshot.services.values():
        ledger, trust = view.ledger, view.trust
        saved = 1 - ledger.replica_hours / ledger.hpa_replica_hours if ledger.seconds else 0.0
        table.add_row(
            view.item_id,
            f"{ledger.replica_hours:,.1f}",
            f"{ledger.hpa_replica_hours:,.1f}",
            f"{100 * saved:.0f} %",
            f"{ledger.short_s:,.0f}",
            f"{ledger.hpa_short_s:,.0f}",
            f"{100 * trust.coverage:.0f} %" if trust is not None else "",
        )
    console.print(table)

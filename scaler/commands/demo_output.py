"""What `scaler demo --once` prints: the replica-hours and shortfalls of the simulated day."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from forecaster.commands.terminal import Terminal, print_table, table_of
from scaler.adapters.http.views import number
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


def ledger_records(snapshot: Snapshot) -> list[dict[str, object]]:
    """Return what each service's day came to; the coverage is None where nothing was forecast."""
    records = []
    for view in snapshot.services.values():
        ledger, trust = view.ledger, view.trust
        record = {
            "service": view.item_id,
            "seconds": ledger.seconds,
            "replica_hours": ledger.replica_hours,
            "hpa_replica_hours": ledger.hpa_replica_hours,
            "short_s": ledger.short_s,
            "hpa_short_s": ledger.hpa_short_s,
        }
        coverage = None if trust is None else number(trust.coverage)
        records.append({**record, "coverage": coverage})
    return records


def print_ledger(snapshot: Snapshot, console: Console | None = None) -> None:
    """Print each service's replica-hours and seconds short, beside those of a plain HPA."""
    table = table_of([head.replace(" ", "\n", 1) for head in HEADS], words=["service"])
    for view in snapshot.services.values():
        ledger, trust = view.ledger, view.trust
        saved = 1 - ledger.replica_hours / ledger.hpa_replica_hours if ledger.seconds else 0.0
        table.add_row(
            Text(view.item_id),
            f"{ledger.replica_hours:,.1f}",
            f"{ledger.hpa_replica_hours:,.1f}",
            f"{100 * saved:.0f} %",
            f"{ledger.short_s:,.0f}",
            f"{ledger.hpa_short_s:,.0f}",
            f"{100 * trust.coverage:.0f} %" if trust is not None else "",
        )
    print_table(console or Terminal(), table)

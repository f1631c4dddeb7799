"""What `scaler tune` prints."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from forecaster.commands.terminal import Terminal, print_table, table_of
from scaler.simulation.tuning import WALKED, Tuned
from scaler.simulation.tuning_report import COLUMNS, extent, rows, sentences


def print_tuned(found: Tuned, console: Console | None = None) -> None:
    """Print what was compared, and what was found."""
    console = console or Terminal()
    console.print(Text(f"Tuning: {extent(found)}"), style="dim")
    table = table_of(COLUMNS, COLUMNS[:1])
    for cells in rows(found):
        table.add_row(*cells, style="bold" if cells[0] == WALKED else None)
    print_table(console, table)
    for sentence in sentences(found):
        console.print(Text(sentence))

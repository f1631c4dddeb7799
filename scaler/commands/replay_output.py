"""What `scaler replay` prints: progress, the table, what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from scaler.simulation.contest import CLAIRVOYANT, TIDEGATE, Contest
from scaler.simulation.findings import row, sentences, verdict
from scaler.simulation.gateway_findings import COLUMNS, excess, rows
from scaler.simulation.gateway_findings import extent as extent_of_limits
from scaler.simulation.gateway_replay import GatewayOutcome
from scaler.simulation.report import extent

HEADS = ("contender", "replica-\nhours", "x\nfloor", "viola-\ntions", "p99", "utili-\nsation",
         "worst\nminute", "changes")  # fmt: skip


@contextmanager
def counted(runs: int) -> Iterator[Callable[[str], None]]:
    """Yield what counts runs on a bar, on stderr; nothing is drawn where that is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as p:
        task = p.add_task("forecasts", total=runs)
        yield lambda name: p.update(task, advance=1, description=name)


def print_contest(contest: Contest, console: Console | None = None) -> None:
    """Print the contenders' figures and what they say."""
    console = console or Console()
    console.print(Text(f"Replay: {extent(contest)}"), style="dim")
    table = _table(HEADS)
    for found in contest.table:
        style = {TIDEGATE: "bold", CLAIRVOYANT: "dim"}.get(found.name)
        table.add_row(*row(contest, found), style=style)
    console.print(table)
    for sentence in sentences(contest):
        console.print(Text(sentence))
    passed, told = verdict(contest)
    console.print(Text(told, style="bold green" if passed else "bold yellow"))


def print_rate_limits(found: GatewayOutcome | None, console: Console | None = None) -> None:
    """Print what gateways made of the published limits; nothing where that was not replayed."""
    if found is None:
        return
    console = console or Console()
    console.print(Text(f"\nRate limits: {extent_of_limits(found)}"), style="dim")
    table = _table(COLUMNS)
    for cells in rows(found):
        table.add_row(*cells)
    console.print(table)
    console.print(Text(excess(found)))


def _table(heads: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i else "left", no_wrap=i > 0)
    return table

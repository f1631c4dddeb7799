"""What `scaler replay` prints: progress, the table of contenders, and its findings."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from forecaster.commands.progress import working
from forecaster.commands.terminal import Terminal, print_table, table_of
from scaler.simulation.contest import CLAIRVOYANT, TIDEGATE, Contest
from scaler.simulation.findings import row, sentences, verdict
from scaler.simulation.gateway_findings import COLUMNS, excess, rows
from scaler.simulation.gateway_findings import extent as extent_of_limits
from scaler.simulation.gateway_outcome import GatewayOutcome
from scaler.simulation.preparation import gaps
from scaler.simulation.report import extent
from scaler.simulation.world import Scene

NAMED_GAPS = 8  # of those that are told of in one line

# What fits into 80 characters; the page and the JSON file also count the changes.
HEADS = ("contender", "replica-\nhours", "x\nfloor", "viola-\ntions\n%", "re-\nfused\n%", "p99",
         "utili-\nsation", "worst\nminute\n%")  # fmt: skip


@contextmanager
def counted(runs: int) -> Iterator[Callable[[str], None]]:
    """Yield a function that counts a run that is done, and says which."""
    done = itertools.count(1)
    with working("working out the forecasts") as work:
        yield lambda name: work.now(f"replayed {name}", next(done), runs)


def tell_of_gaps(scene: Scene) -> None:
    """Name the gaps that a replay steps over, on stderr."""
    found = gaps(scene.demand)
    if not found:
        return
    few = ", ".join(
        " to ".join(
            f"{datetime.fromtimestamp(scene.start + at * scene.timing.tick_s, UTC):%Y-%m-%dT%H:%MZ}"
            for at in gap
        )
        for gap in found[:NAMED_GAPS]
    )
    more = f" and {len(found) - NAMED_GAPS} more" if len(found) > NAMED_GAPS else ""
    print(f"gaps that are stepped over, and in no figure: {few}{more}", file=sys.stderr)


def print_contest(contest: Contest, console: Console | None = None) -> None:
    """Print the contenders' figures, the findings and the verdict."""
    console = console or Terminal()
    console.print(Text(f"Replay: {extent(contest)}"), style="dim")
    table = table_of(HEADS, HEADS[:1])
    for found in contest.table:
        style = {TIDEGATE: "bold", CLAIRVOYANT: "dim"}.get(found.name)
        cells = row(contest, found)[: len(HEADS)]
        table.add_row(*(cell.removesuffix(" %") for cell in cells), style=style)
    print_table(console, table)
    for sentence in sentences(contest):
        console.print(Text(sentence))
    passed, text = verdict(contest)
    console.print(Text(text, style="bold green" if passed else "bold yellow"))


def print_rate_limits(found: GatewayOutcome | None, console: Console | None = None) -> None:
    """Print how gateways would have enforced the published limits, if that was replayed."""
    if found is None:
        return
    console = console or Terminal()
    console.print(Text(f"\nRate limits: {extent_of_limits(found)}"), style="dim")
    table = table_of(COLUMNS, COLUMNS[:1])
    for cells in rows(found):
        table.add_row(Text(cells[0]), *cells[1:])
    print_table(console, table)
    console.print(Text(excess(found)))

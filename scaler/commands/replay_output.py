"""What `scaler replay` prints: progress, the table of contenders, and its findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from forecaster.commands.terminal import Terminal, table_of
from scaler.simulation.contest import CLAIRVOYANT, TIDEGATE, Contest
from scaler.simulation.findings import row, sentences, verdict
from scaler.simulation.report import extent
from scaler.simulation.shedding_findings import COLUMNS, Scenes
from scaler.simulation.shedding_findings import row as limiter_row
from scaler.simulation.shedding_scenarios import TIDEGATE as TIDEGATE_LIMITER

HEADS = ("contender", "replica-\nhours", "x\nfloor", "viola-\ntions", "p99", "utili-\nsation",
         "worst\nminute", "changes")  # fmt: skip


# The columns that fit into 80 characters; the page and the JSON file have all of them.
LIMITER_COLUMNS = ("limiter", "goodput", "critical", "false rejects", "abuse blocked", "accuracy",
                   "p99", "settles")  # fmt: skip


@contextmanager
def counted(runs: int) -> Iterator[Callable[[str], None]]:
    """Yield a function that counts a run on a bar; no bar is drawn unless stderr is a terminal."""
    console = Terminal(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as p:
        task = p.add_task("forecasts", total=runs)
        yield lambda name: p.update(task, advance=1, description=name)


def print_contest(contest: Contest, console: Console | None = None) -> None:
    """Print the contenders' figures, the findings and the verdict."""
    console = console or Terminal()
    console.print(Text(f"Replay: {extent(contest)}"), style="dim")
    table = table_of(HEADS, HEADS[:1], wrap=False)
    for found in contest.table:
        style = {TIDEGATE: "bold", CLAIRVOYANT: "dim"}.get(found.name)
        table.add_row(*row(contest, found), style=style)
    console.print(table)
    for sentence in sentences(contest):
        console.print(Text(sentence))
    passed, text = verdict(contest)
    console.print(Text(text, style="bold green" if passed else "bold yellow"))


def print_limiters(scenes: Scenes, console: Console | None = None) -> None:
    """Print a table of the limiters for each scene."""
    console = console or Terminal()
    for scene, found in scenes.items():
        console.print(Text(f"\nRate limiting: {scene}"), style="dim")
        shown = [COLUMNS.index(name) for name in LIMITER_COLUMNS]
        heads = [name.replace(" ", "\n") for name in LIMITER_COLUMNS]
        table = table_of(heads, heads[:1], wrap=False)
        for one in found:
            cells = limiter_row(one)
            style = "bold" if one.name == TIDEGATE_LIMITER else None
            table.add_row(*(cells[i] for i in shown), style=style)
        console.print(table)

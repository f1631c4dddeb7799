"""What commands print on: a terminal that lets a closed pipe be handled, and tables that fit it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table

# Columns of a table that holds sentences: they are not made narrower than this.
LEAST_SENTENCE = 20
# Between two columns, and at neither side.
GAP = 2


def figure(value: float) -> str:
    """Return a number of a table: with four digits, or whole.

    >>> figure(0.123456), figure(99.95), figure(15150.4)
    ('0.1235', '99.95', '15,150')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


class Terminal(Console):
    """A console that leaves a closed pipe to the frame of the command; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def table_of(
    heads: Sequence[str], words: Collection[str] = (), sentences: Collection[str] = ()
) -> Table:
    """Return an empty table: columns of words stand left, those of numbers right.

    Args:
        heads: of the columns.
        words: the heads of those that hold words, such as names.
        sentences: the heads of those that alone may be wrapped, between words.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for head in heads:
        left, wraps = head in words or head in sentences, head in sentences
        table.add_column(
            head, overflow="fold", justify="left" if left else "right", no_wrap=not wraps
        )
    return table


def print_table(console: Console, table: Table) -> None:
    """Print a table whose names are whole: where these do not fit, it is wider than the console."""
    least = sum(_least_width(console, column) for column in table.columns)
    least += GAP * (len(table.columns) - 1)
    if least > console.width:
        table.width = least
    console.print(table, crop=False)
    console.print()


def _least_width(console: Console, column: Column) -> int:
    endless = console.options.update(width=10_000)
    cells = column.header, *column.cells
    whole = max(Measurement.get(console, endless, cell).maximum for cell in cells)
    return whole if column.no_wrap else min(whole, LEAST_SENTENCE)

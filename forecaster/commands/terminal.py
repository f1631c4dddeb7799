"""What commands print on: a terminal that lets a closed pipe be handled, and tables that fit it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


class Terminal(Console):
    """A console that leaves a closed pipe to the frame of the command; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def table_of(heads: Sequence[str], words: Collection[str] = (), *, wrap: bool = True) -> Table:
    """Return an empty table: columns of words stand left, those of numbers right.

    Args:
        heads: of the columns.
        words: the heads of those that hold words.
        wrap: whether numbers may be broken where the terminal is narrow; words always may.
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in heads:
        if head in words:
            table.add_column(head, overflow="fold")
        else:
            table.add_column(head, overflow="fold", justify="right", no_wrap=not wrap)
    return table

"""Tables on a terminal of 80 columns: names are whole, whatever their length."""

from __future__ import annotations

import io

import hypothesis.strategies as st
import pytest
from hypothesis import given
from rich.text import Text

from forecaster.commands.terminal import Terminal, print_table, table_of

HEADS = ("item", "served by", "loss", "why")
LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)


def printed(*rows: tuple[str, ...], width: int = 80) -> list[str]:
    console = Terminal(width=width, file=io.StringIO())
    table = table_of(HEADS, words=HEADS[:2], sentences=HEADS[3:])
    for row in rows:
        table.add_row(*map(Text, row))
    print_table(console, table)
    return console.file.getvalue().splitlines()


def test_a_table_fits_into_80_columns_and_only_sentences_are_wrapped():
    why = "its loss is the least by more than chance on the last part of the history"
    assert [line.rstrip() for line in printed(("shop/checkout", "last value", "0.81", why))] == [
        "item           served by   loss  why",
        "─" * 80,
        "shop/checkout  last value  0.81  its loss is the least by more than chance on",
        "                                 the last part of the history",
        "",
    ]


@given(LABEL, LABEL, st.integers(20, 120))
def test_names_of_any_length_are_whole_and_sentences_lose_nothing(namespace, name, width):
    why = "no other is better by more than chance"
    item = f"{namespace}/{name}"
    lines = printed((item, "same time last week", "12,345.678", why), width=width)
    assert lines[2].startswith(f"{item:4}  same time last week  12,345.678  ")
    begin = lines[0].index("why")
    assert " ".join(" ".join(line[begin:] for line in lines[2:]).split()) == why


@pytest.mark.parametrize("name", ["[bold]", "a\\[b]"])
def test_a_name_is_no_markup(name):
    assert printed((name, "x", "1", "y"))[2].startswith(name)

"""What the page and the terminal say of a backtest, and what they keep from running."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from forecaster.commands.evaluate_output import print_backtest
from forecaster.evaluation.backtest import Backtest
from forecaster.models.naive import HOLT_WINTERS
from forecaster.report import html_report
from forecaster.report.backtest_page import spread_out
from forecaster.report.findings import sentences, verdict
from forecaster.report.page import Column, PageTable
from tests.forecaster.evaluation.backtest_samples import HOSTILE, backtest_of, item, silent_item

TWO = backtest_of(item("shop/web"), item("pay/api", 0.4, source=HOLT_WINTERS))
LOST = backtest_of(item("shop/web", 1.3))


class Page(HTMLParser):
    """The elements of a page, and the texts of its cells and of all that is not script."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.cells: list[str] = []
        self.said = ""
        self._inside = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.said += data
            if self._inside == "td":
                self.cells.append(data)

    def with_tag(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def terminal(backtest: Backtest, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_backtest(backtest, console)
    return console.file.getvalue()


# Words


def test_a_served_forecast_that_no_baseline_beats_passes_the_gate():
    passed, said = verdict(TWO)

    assert passed
    assert "passed: no baseline beats what is served" in said


def test_a_served_forecast_that_a_baseline_beats_does_not_pass():
    passed, said = verdict(LOST)

    assert not passed
    assert "not passed: a baseline beats what is served by more than chance (1.300 against" in said
    assert "1.000 of last value" in said


def test_a_backtest_without_demand_claims_nothing():
    silent = backtest_of(silent_item("shop/off"))

    assert not verdict(silent)[0]
    assert "Nothing can be compared" in verdict(silent)[1]
    assert len(sentences(silent)) == 1


def test_the_sentences_name_the_baseline_the_candidates_and_the_coverage():
    said = " ".join(sentences(TWO))

    assert "loses 51.0 % less than repeating the last value" in said  # sqrt(0.6 x 0.4) = 0.490
    assert "LSTM serves 1 and Holt-Winters 1 of 2 items" in said
    assert "The quantiles 0.9, 0.95 and 0.99 covered 90.0 %, 95.0 % and 99.0 % of moments" in said


def test_a_forecast_that_is_worse_is_reported_as_plainly_as_one_that_is_better():
    assert "loses 30.0 % more than repeating the last value" in " ".join(sentences(LOST))


# The page


def test_the_page_holds_the_verdict_the_candidates_and_every_item():
    page = Page(html_report(TWO, "web v0003", facts={"Model": "web@v0003"}))

    assert verdict(TWO)[1] in page.said
    assert "Model: web@v0003" in page.said
    assert {"served", "LSTM", "Holt-Winters", "same time yesterday"} <= set(page.cells)
    assert {"shop/web", "pay/api"} <= set(page.cells)


def test_the_page_loads_nothing_from_anywhere():
    page = Page(html_report(TWO, "web"))

    addresses = [a for _, attributes in page.elements for a in attributes if a in {"src", "href"}]
    assert addresses == []
    assert page.with_tag("link") == []


def test_only_the_scripts_of_the_page_itself_may_run():
    page = Page(html_report(TWO, "web"))
    policy = next(a["content"] for a in page.with_tag("meta") if "http-equiv" in a)
    runs = [a for a in page.with_tag("script") if a.get("type") != "application/json"]
    running = page.scripts[-len(runs) :]

    digests = [hashlib.sha256(script.encode()).digest() for script in running]
    assert re.findall(r"'sha256-(.+?)'", policy) == [base64.b64encode(d).decode() for d in digests]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_a_hostile_item_adds_no_element_and_is_shown_as_it_is():
    hostile = Page(html_report(backtest_of(item(HOSTILE)), HOSTILE, facts={HOSTILE: HOSTILE}))
    harmless = Page(html_report(backtest_of(item("shop/web")), "web", facts={"a": "b"}))

    assert [name for name, _ in hostile.elements] == [name for name, _ in harmless.elements]
    assert HOSTILE in hostile.cells


def test_a_page_is_the_same_for_the_same_backtest():
    assert html_report(TWO, "web") == html_report(TWO, "web")


def test_fit_times_are_a_column_where_they_are_known():
    assert "fit (s)" not in Page(html_report(TWO, "web")).said

    page = Page(html_report(TWO, "web", fit_seconds={"lstm": 41.25}))

    assert "fit (s)" in page.said
    assert "41.2" in page.cells


def test_thousands_of_items_make_a_page_of_a_few():
    """What is left out is counted; the fans are of items from the hardest to the easiest."""
    many = backtest_of(*(item(f"shop/{i:04}", 0.5 + i / 4000) for i in range(1000)))
    page = Page(html_report(many, "web"))

    assert page.cells.count("shop/0999") == 1
    assert "shop/0000" not in page.cells
    assert "And 800 more" in page.said
    assert "shop/0000: 4 minutes ahead" in page.said


def test_an_item_without_demand_is_shown_with_dashes():
    page = Page(html_report(backtest_of(item("shop/web"), silent_item("shop/off")), "web"))
    row = page.cells.index("shop/off")

    assert page.cells[row + 2 : row + 5] == ["–", "–", "–"]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 400])
def test_the_fans_reach_from_the_hardest_to_the_easiest(count):
    order = [item(f"shop/{i}") for i in range(count)]
    chosen = spread_out(order)

    assert chosen[0] is order[0]
    assert chosen[-1] is order[-1]
    assert len(chosen) == min(count, 4) == len({one.item_id for one in chosen})


def test_markup_is_escaped_once():
    source = html_report(backtest_of(item("<&>")), "<script>alert(1)</script>")

    assert '<td class="text" data-name="item">&lt;&amp;&gt;</td>' in source
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>" in source


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match="has 1 cells, but must have 2"):
        PageTable([Column("item"), Column("loss")], [["shop/web"]])


# The terminal


def test_the_terminal_shows_candidates_items_and_the_verdict_last():
    shown = terminal(TWO)

    assert shown.index("served") < shown.index("LSTM") < shown.index("shop/web")
    assert " ".join(shown.split()).endswith(verdict(TWO)[1])


def test_the_terminal_lists_the_hardest_twenty_and_counts_the_rest():
    shown = terminal(backtest_of(*(item(f"shop/{i:04}", 0.5 + i / 4000) for i in range(1000))))

    assert shown.index("shop/0999") < shown.index("shop/0980")
    assert "shop/0979" not in shown
    assert "... and 980 more items" in shown


def test_the_terminal_takes_no_name_for_markup():
    assert "[red]shop[/red]" in terminal(backtest_of(item("[red]shop[/red]")), 200)


@pytest.mark.parametrize("width", [80, 200])  # names are never cut: a narrow terminal scrolls
def test_no_line_is_wider_than_the_terminal(width):
    assert max(len(line) for line in terminal(TWO, width).splitlines()) <= width

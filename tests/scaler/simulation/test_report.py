"""The page and the record of a replay: all of it, nothing from elsewhere, nothing that runs."""

import base64
import hashlib
import json
import math
import re

import pytest

from forecaster.adapters.exact_json import json_bytes
from scaler.simulation.findings import COLUMNS, row, sentences, verdict
from scaler.simulation.report import extent, html_report, record
from tests.forecaster.evaluation.backtest_samples import HOSTILE
from tests.forecaster.test_report import Page
from tests.scaler.simulation.contest_samples import small_contest, with_frontier, with_table


@pytest.fixture(scope="module")
def source():
    return html_report(small_contest(), "Replay of shop/web", facts={"forecast by": "Holt-Winters"})


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


# The page


def test_the_page_holds_the_verdict_and_all_sentences(page):
    held = small_contest()
    assert verdict(held)[1] in page.said
    for sentence in sentences(held):
        assert sentence in page.said
    assert f"forecast by: Holt-Winters · {extent(held)}" in page.said


def test_every_contender_is_a_row_of_the_table(page):
    held = small_contest()
    said = [cell for found in held.table for cell in row(held, found)]
    assert page.cells[: len(said)] == said
    assert all(column in page.said for column in COLUMNS)


def test_the_page_loads_nothing_from_anywhere(page):
    addresses = [a for _, attributes in page.elements for a in attributes if a in {"src", "href"}]
    assert addresses == []
    assert page.with_tag("link") == []


def test_only_the_scripts_of_the_page_itself_may_run(page):
    policy = next(a["content"] for a in page.with_tag("meta") if "http-equiv" in a)
    runs = [a for a in page.with_tag("script") if a.get("type") != "application/json"]
    digests = [hashlib.sha256(s.encode()).digest() for s in page.scripts[-len(runs) :]]
    assert policy.startswith("default-src 'none'")
    assert re.findall(r"'sha256-(.+?)'", policy) == [base64.b64encode(d).decode() for d in digests]


def test_a_hostile_name_adds_no_element_and_is_shown_as_it_is(page):
    hostile = Page(html_report(small_contest(), HOSTILE, facts={"forecast by": HOSTILE}))
    assert [name for name, _ in hostile.elements] == [name for name, _ in page.elements]
    assert HOSTILE in hostile.said


def test_a_page_is_the_same_for_the_same_contest(source):
    again = html_report(
        small_contest(), "Replay of shop/web", facts={"forecast by": "Holt-Winters"}
    )
    assert again == source


def test_a_contest_without_a_frontier_makes_a_page_without_one(page):
    without = Page(html_report(with_frontier(), "Replay"))
    assert "Cost against violations" in page.said
    assert "Cost against violations" not in without.said


def test_the_extent_says_from_when_to_when_and_of_what():
    # 2.5 days from 2026-03-02, of which the last hour; a stamp ends its minute.
    assert extent(small_contest()) == (
        "2026-03-04 10:59 to 2026-03-04 11:59 UTC in steps of 15 s; 100 requests per second per "
        "replica; start-up 90 s"
    )


# The record


def test_the_record_is_json_that_reads_back_as_it_was():
    told = record(small_contest())
    assert json.loads(json_bytes(told)) == json.loads(json.dumps(told, allow_nan=False))


def test_the_record_holds_every_figure_of_every_contender():
    held = small_contest()
    told = record(held)
    assert list(told["contenders"]) == [found.name for found in held.table]
    for found in held.table:
        assert told["contenders"][found.name]["replica_hours"] == found.replica_hours
        assert told["contenders"][found.name]["violations"] == found.violations
    assert len(told["frontier"]) == len(held.frontier)
    assert told["frontier"][0]["family"] == held.frontier[0].family
    assert told["verdict"]["text"] == verdict(held)[1]
    assert told["reasons"] == held.reasons
    assert told["trust"]["coverage"] == held.coverage


def test_a_latency_without_end_is_null():
    told = record(with_table(hpa={"p99_s": math.inf}))
    assert told["contenders"]["HPA"]["p99_s"] is None
    assert told["contenders"]["tidegate"]["p99_s"] is not None

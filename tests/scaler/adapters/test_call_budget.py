"""The call budget of a tick: a server that does not reply is not called a thousand times."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.adapters import prometheus_traffic
from scaler.adapters.call_budget import CallBudget
from scaler.adapters.prometheus_traffic import PrometheusTraffic
from scaler.control.ports import TrafficQuery
from tests.forecaster.adapters.prometheus.server import (
    FakeSeries,
    PrometheusServer,
    Reply,
    failure,
    serving,
)

NOW = 1_770_000_000.0
STEP = timedelta(minutes=1)
ONE = [FakeSeries({}, lambda _: "7")]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param("", None, id="at the beginning calls are made"),
        pytest.param("vv", None, id="a few calls without a reply are not enough"),
        pytest.param(
            "vvv", "3 in a row had no answer: away", id="max_failures calls without a reply are"
        ),
        pytest.param("vvav", None, id="a reply in between resets the count"),
        pytest.param("a" * 9 + "s", "stopped", id="after a stop no call is made"),
        pytest.param("aaal", "took 10 s", id="a slow server is left when the time is spent"),
    ],
)
def test_a_budget_is_exhausted(events, expected):
    now, stopping = [0.0], threading.Event()
    budget = CallBudget(3, 10.0, stopping, clock=lambda: now[0])
    does = {
        "v": lambda: budget.unanswered("away"),
        "a": budget.replied,
        "s": stopping.set,
        "l": lambda: now.__setitem__(0, 10.1),
    }
    for event in events:
        does[event]()
    reason = budget.exhausted()
    assert reason is None if expected is None else expected in str(reason)


def asks(count):
    return [TrafficQuery(f"prod/{n}", f"q{n}", None, NOW - 60 - n) for n in range(count)]


def asking(server, **more):
    settings = PrometheusSettings(server.url, timeout=timedelta(seconds=0.2), retries=1)
    return PrometheusTraffic(settings, STEP, workers=4, **more)


def test_a_prometheus_that_does_not_reply_costs_a_few_time_outs_and_not_hundreds():
    with serving(PrometheusServer(script=[Reply(hold=True)] * 9999)) as server:
        source = asking(server)
        metrics = source.measure(asks(300), NOW)
        server.released.set()
        source.close()
    assert len(server.asked) < 30  # 4 at once, twice each, and those that had begun meanwhile
    assert all(one.fault is not None for one in metrics)
    assert "no answer within 0.2 s" in metrics[-1].fault


def test_refused_queries_count_as_replies_and_the_others_go_on():
    answers = {f"q{n}": ONE for n in range(100)}
    with serving(PrometheusServer(answers, [failure(422, "execution", "no")] * 50)) as server:
        source = asking(server)
        metrics = source.measure(asks(100), NOW)
        source.close()
    assert sum(one.fault is None for one in metrics) == 50


def test_when_the_time_of_a_tick_is_spent_the_other_queries_wait_for_the_next_tick(monkeypatch):
    monkeypatch.setattr(prometheus_traffic, "METRICS_BUDGET_S", 0.0)  # spent at once
    with serving(PrometheusServer({f"q{n}": ONE for n in range(9)})) as server:
        source = asking(server)
        assert {one.fault for one in source.measure(asks(9), NOW)} == {
            "not asked, for the others took 0 s"
        }
        source.close()
    assert server.asked == []


def test_a_retry_after_of_a_day_is_not_waited_for_within_a_tick():
    busy = failure(429, "", "too many", Retry_After="86400")
    with serving(PrometheusServer(script=[busy] * 99)) as server:
        source = asking(server)
        (metrics,) = source.measure(asks(1), NOW)
        source.close()
    assert "asks to come back in 86400 s" in metrics.fault


def test_after_a_stop_no_query_is_sent():
    stopping = threading.Event()
    stopping.set()
    with serving(PrometheusServer({"q0": ONE})) as server:
        source = asking(server, stopping=stopping)
        (metrics,) = source.measure(asks(1), NOW)
        assert source.histories([("prod/0", "q0")], timedelta(days=1), NOW) == [metrics.fault]
        source.close()
    assert server.asked == []
    assert "being stopped" in metrics.fault

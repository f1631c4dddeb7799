"""When a tick gives a server up: it asks no thousand questions of one that does not answer."""

from __future__ import annotations

import threading
import time
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
    ("events", "over"),
    [
        pytest.param("", None, id="at the beginning everybody asks"),
        pytest.param("vv", None, id="a few without an answer are no proof"),
        pytest.param("vvv", "3 in a row had no answer: away", id="as many as ask at once are"),
        pytest.param("vvav", None, id="an answer between says that somebody is there"),
        pytest.param("a" * 9 + "s", "stopped", id="who is to stop begins nothing"),
        pytest.param("aaal", "took 10 s", id="a server that is slow is left when time is up"),
    ],
)
def test_a_round_is_over(events, over):
    now, stopping = [0.0], threading.Event()
    this = CallBudget(3, 10.0, stopping, clock=lambda: now[0])
    does = {
        "v": lambda: this.in_vain("away"),
        "a": this.answered,
        "s": stopping.set,
        "l": lambda: now.__setitem__(0, 10.1),
    }
    for event in events:
        does[event]()
    told = this.over()
    assert told is None if over is None else over in str(told)


def asks(count):
    return [TrafficQuery(f"prod/{n}", f"q{n}", None, NOW - 60 - n) for n in range(count)]


def asking(server, **more):
    settings = PrometheusSettings(server.url, timeout=timedelta(seconds=0.2), retries=1)
    return PrometheusTraffic(settings, STEP, workers=4, **more)


def test_a_prometheus_that_says_nothing_costs_a_few_time_outs_and_not_hundreds():
    with serving(PrometheusServer(script=[Reply(hold=True)] * 9999)) as server:
        source = asking(server)
        began = time.monotonic()
        heard = source.measure(asks(300), NOW)
        took = time.monotonic() - began
        server.released.set()
        source.close()
    assert len(server.asked) < 30  # 4 at once, twice each, and who had begun meanwhile
    assert took < 10.0  # 300 x 0.4 s / 4 would be 30
    assert all(one.fault is not None for one in heard)
    assert "no answer within 0.2 s" in heard[-1].fault


def test_queries_that_are_refused_are_answers_and_stop_nobody():
    answers = {f"q{n}": ONE for n in range(100)}
    with serving(PrometheusServer(answers, [failure(422, "execution", "no")] * 50)) as server:
        source = asking(server)
        heard = source.measure(asks(100), NOW)
        source.close()
    assert sum(one.fault is None for one in heard) == 50


def test_when_a_tick_s_time_is_up_the_others_wait_for_the_next(monkeypatch):
    monkeypatch.setattr(prometheus_traffic, "MEASURE_S", 0.0)  # over as soon as it begins
    with serving(PrometheusServer({f"q{n}": ONE for n in range(9)})) as server:
        source = asking(server)
        assert {one.fault for one in source.measure(asks(9), NOW)} == {
            "not asked, for the others took 0 s"
        }
        source.close()
    assert server.asked == []


def test_a_retry_after_of_a_minute_is_not_waited_for_within_a_tick():
    busy = failure(429, "", "too many", Retry_After="60")
    with serving(PrometheusServer(script=[busy] * 99)) as server:
        source = asking(server)
        began = time.monotonic()
        (heard,) = source.measure(asks(1), NOW)
        assert time.monotonic() - began < 10.0
        source.close()
    assert "asks to come back in 60 s" in heard.fault


def test_a_stop_asks_nobody_any_more():
    stopping = threading.Event()
    stopping.set()
    with serving(PrometheusServer({"q0": ONE})) as server:
        source = asking(server, stopping=stopping)
        (heard,) = source.measure(asks(1), NOW)
        assert source.histories([("prod/0", "q0")], timedelta(days=1), NOW) == [heard.fault]
        source.close()
    assert server.asked == []
    assert "being stopped" in heard.fault

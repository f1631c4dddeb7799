"""One query for many services: each gets what it would have got alone."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.adapters.namespace_label import as_written, holder_of
from scaler.adapters.prometheus_traffic import PrometheusTraffic
from scaler.control.ports import TrafficQuery
from tests.forecaster.adapters.prometheus.server import (
    FakeSeries,
    PrometheusServer,
    Reply,
    failure,
    matrix,
    serving,
)

NOW = 1_770_000_000.0
SERVICE = re.compile(r'service=(~?)"((?:\\.|[^"])*)"')


def query(name: str, namespace: str = "shop") -> str:
    return f'sum(rate(hits{{namespace="{namespace}",service="{name}"}}[1m]))'


class Hits(PrometheusServer):
    """Knows the rates of some services; what is asked by labels is answered by labels.

    ``beside`` are labels of further series that nobody asked for; ``most`` are the members of a
    query that is answered; ``poison`` is a service whose queries are refused.
    """

    def __init__(self, rates: dict[str, float], most: int = 10_000, poison: str = "none", **beside):
        super().__init__()
        self.rates, self.most, self.poison, self.beside = rates, most, poison, beside

    def _answer(self, asked):
        start, end, step = (int(asked.params[name]) for name in ("start", "end", "step"))
        ((is_many, text),) = SERVICE.findall(asked.params["query"])
        names = [one.replace("\\\\", "") for one in text.split("|")] if is_many else [text]
        if len(names) > self.most or self.poison in names:
            return failure(422, "execution", "query processing would load too many samples")
        series = [self._series(name, is_many) for name in names if name in self.rates]
        if is_many and self.beside:
            series.append(FakeSeries({"namespace": "shop", "service": "other"}, lambda _: "9"))
        return matrix(series, range(start, end + 1, step))

    def _series(self, name: str, is_many: str) -> FakeSeries:
        labels = {"namespace": "shop", "service": name} if is_many else {}
        return FakeSeries(labels, lambda _, qps=self.rates[name]: str(qps))


def traffic(server, hold=as_written, timeout_s=10.0) -> PrometheusTraffic:
    settings = PrometheusSettings(server.url, timeout=timedelta(seconds=timeout_s), retries=0)
    return PrometheusTraffic(settings, timedelta(minutes=1), workers=4, hold=hold)


def measured(source: PrometheusTraffic, names, tick: int = 0):
    asked = [TrafficQuery(f"shop/{name}", query(name), None, NOW - 120) for name in names]
    return source.measure(asked, NOW + 15 * tick)


NAMES = [f"s{n:03}" for n in range(300)]
RATES = {name: float(n) for n, name in enumerate(NAMES)}


def test_many_services_take_one_query_and_each_gets_its_own_series():
    with serving(Hits(RATES, beside=1)) as server:
        found = measured(traffic(server), NAMES)
        assert [one.observed_qps for one in found] == list(RATES.values())
        assert len(server.asked) == 1
        alone = measured(traffic(server), NAMES[7:8])
    assert alone[0] == found[7]
    assert [at for at, _ in found[7].samples] == [NOW - 60, NOW]


def test_a_service_that_is_not_in_the_answer_is_unknown_and_the_others_are_known():
    with serving(Hits({name: rate for name, rate in RATES.items() if name != "s007"})) as server:
        found = measured(traffic(server), NAMES)
    assert math.isnan(found[7].observed_qps)
    assert "returns 0 series, but must return one" in found[7].fault
    assert all(one.fault is None for one in found[:7] + found[8:])


def test_two_policies_on_the_same_demand_get_the_same():
    with serving(Hits(RATES)) as server:
        asked = [TrafficQuery(f"shop/{n}", query("s009"), None, NOW - 120) for n in "ab"]
        found = traffic(server).measure(
            [*asked, TrafficQuery("shop/c", query("s008"), None, 0)], NOW
        )
    assert [one.observed_qps for one in found] == [9.0, 9.0, 8.0]


@pytest.mark.parametrize("hits", [Hits(RATES, most=100), Hits(RATES, poison="s007")])
def test_what_the_server_refuses_is_halved_and_soon_all_that_can_be_known_is(hits):
    with serving(hits) as server:
        source = traffic(server)
        first = measured(source, NAMES)
        assert all("too many samples" in one.fault for one in first)
        assert all(math.isnan(one.observed_qps) for one in first)  # nothing is taken for 0
        for tick in range(1, 12):
            before = len(server.asked)
            found = measured(source, NAMES, tick)
            assert len(server.asked) - before <= 32
    unknown = [name for name, one in zip(NAMES, found, strict=True) if one.fault]
    assert unknown == (["s007"] if hits.poison == "s007" else [])


def test_a_server_that_is_away_for_a_moment_is_no_reason_to_ask_more():
    with serving(Hits(RATES)) as server:
        source = traffic(server)
        measured(source, NAMES)
        server.script = [failure(503, "unavailable", "starting")] * 20
        for tick in range(1, 3):
            assert "503" in measured(source, NAMES, tick)[0].fault
        server.script.clear()
        before = len(server.asked)
        found = measured(source, NAMES, 9)
        assert len(server.asked) - before == 1
    assert [one.observed_qps for one in found] == list(RATES.values())


def test_one_service_that_hangs_holds_the_others_up_for_a_few_ticks_only():
    server = Hits(RATES)
    truth = server._answer
    server._answer = lambda asked: (
        Reply(hold=True) if "s007" in asked.params["query"] else truth(asked)
    )
    with serving(server):
        source = traffic(server, timeout_s=0.3)
        for tick in range(12):
            found = measured(source, NAMES[:16], tick)
        server.released.set()
        source.close()
    unknown = [name for name, one in zip(NAMES, found, strict=False) if one.fault]
    assert unknown == ["s007"]


def test_a_query_that_may_not_be_asked_is_told_and_the_others_are_known():
    with serving(Hits(RATES)) as server:
        asked = [
            TrafficQuery("shop/a", query("s001"), None, NOW - 120),
            TrafficQuery("shop/b", query("s002"), None, NOW - 120),
            TrafficQuery("mine/c", query("s003"), None, NOW - 120),
        ]
        found = traffic(server, holder_of("namespace")).measure(asked, NOW)
    assert [one.observed_qps for one in found[:2]] == [1.0, 2.0]
    assert 'may have namespace="mine" alone' in found[2].fault
    assert len(server.asked) == 1


def test_a_mark_that_came_before_a_services_last_sample_marks_nothing():
    with serving(Hits(RATES)) as server:
        asked = [
            TrafficQuery(f"shop/{n}", query("s001"), None, since, query(mask))
            for n, since, mask in (("a", NOW - 300, "s003"), ("b", NOW - 30, "s004"))
        ]
        old, new = traffic(server).measure(asked, NOW)
    assert len(old.marks) == 20
    assert new.marks == (NOW - 15, NOW)


def test_pasts_are_asked_for_together_and_each_is_its_own():
    rates = {name: rate for name, rate in RATES.items() if name != "s007"}
    with serving(Hits(rates)) as server:
        asked = [(f"shop/{name}", query(name)) for name in NAMES[:40]]
        found = traffic(server).histories(asked, timedelta(days=8), NOW)
        count = len(server.asked)
        (alone,) = traffic(server).histories(asked[9:10], timedelta(days=8), NOW)
    assert count == 10 * 3  # groups of four, and 11,520 samples take three requests
    assert [one.item_id for one in found] == [item for item, _ in asked]
    assert [set(one.values.tolist()) for one in found[8:10]] == [{8.0}, {9.0}]
    assert math.isnan(found[7].values[0])  # there is no series of it
    assert (found[9].start, found[9].step, len(found[9])) == (alone.start, alone.step, len(alone))
    assert found[9].values.tolist() == alone.values.tolist()

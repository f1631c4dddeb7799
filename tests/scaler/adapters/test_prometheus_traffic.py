"""What is taken from the answers of Prometheus, and what is not."""

from __future__ import annotations

import math
import time
from datetime import timedelta

import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.adapters.namespace_label import holder_of
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
STEP = timedelta(minutes=1)
AWAY = "store-2 is away"
THANOS, VICTORIA = {"warnings": [AWAY]}, {"isPartial": True}
HARMLESS = {"warnings": ["PromQL info: metric might not be a counter"], "infos": ["PromQL info"]}
MANY = [FakeSeries({"pod": f"shop-{n}", "zone": "a" * 100}, lambda _: "0.1") for n in range(300)]


class Store(PrometheusServer):
    """Answers each query with its number; ``beside`` stands what it remarks on a query."""

    def __init__(self, **beside):
        super().__init__()
        self.beside = beside

    def _answer(self, asked):
        start, end, step = (int(asked.params[name]) for name in ("start", "end", "step"))
        query = asked.params["query"]
        if query == "broken":
            return failure(400, "bad_data", "parse error")
        count = 0 if query == "nothing" else 1
        beside = self.beside.get(query, {})
        series = [FakeSeries({}, lambda _: "7")] * count
        return matrix(series, range(start, end + 1, step), **beside)


def source(server, wall=None):
    settings = PrometheusSettings(server.url, timeout=timedelta(seconds=10), retries=0)
    asked = PrometheusTraffic(settings, STEP, workers=2)
    asked.wall = wall
    return asked


def measured(store, demand="demand", latency="latency"):
    with serving(store) as server:
        asked = source(server)
        (metrics,) = asked.measure([TrafficQuery("a/b", demand, latency, NOW - 120)], NOW)
        asked.close()
    return metrics


@pytest.mark.parametrize("beside", [THANOS, VICTORIA], ids=["Thanos", "VictoriaMetrics"])
def test_of_a_partial_answer_only_what_is_offered_at_least_is_taken(beside):
    metrics = measured(Store(demand=beside))
    assert math.isnan(metrics.observed_qps)
    assert (metrics.samples, metrics.least_qps, metrics.latency_s) == ((), 7.0, 7.0)
    assert metrics.partial in (AWAY, "isPartial")


def test_a_partial_answer_of_nothing_says_nothing_and_names_no_other_fault():
    metrics = measured(Store(nothing=THANOS), demand="nothing")
    assert (metrics.partial, metrics.fault) == (AWAY, None)
    assert math.isnan(metrics.observed_qps)
    assert math.isnan(metrics.least_qps)


def test_a_partial_latency_is_unknown_and_the_demand_is_known():
    metrics = measured(Store(latency=THANOS))
    assert (metrics.observed_qps, metrics.latency_s, metrics.partial) == (7.0, None, AWAY)


def test_remarks_on_the_query_are_no_matter():
    metrics = measured(Store(demand=HARMLESS, latency=HARMLESS))
    assert (metrics.observed_qps, metrics.latency_s, metrics.partial) == (7.0, 7.0, None)


@pytest.mark.parametrize(
    ("mask", "marks", "fault"),
    [
        pytest.param("firing", 8, None, id="marked"),
        pytest.param("nothing", 0, None, id="no series: nothing is marked"),
        pytest.param("broken", 0, "parse error", id="a fault: nothing is marked"),
    ],
)
def test_a_mask_marks_moments_and_its_fault_is_told(mask, marks, fault):
    with serving(Store()) as server:
        asked = source(server)
        query = TrafficQuery("a/b", "demand", None, NOW - 120, mask)
        (metrics,) = asked.measure([query], NOW)
        asked.close()
    assert (metrics.observed_qps, len(metrics.marks)) == (7.0, marks)
    assert {at % 15 for at in metrics.marks} <= {0.0}
    assert (metrics.fault is None) if fault is None else (fault in metrics.fault)


def test_a_partial_history_is_none():
    with serving(Store(demand=THANOS)) as server:
        asked = source(server)
        (history,) = asked.histories([("a/b", "demand")], timedelta(hours=1), NOW)
        asked.close()
    assert history == f"data is missing from the answer: {AWAY}"


def histories(server):
    with serving(server):
        asked = source(server)
        (history,) = asked.histories([("a/b", "demand")], timedelta(days=8), NOW)
        asked.close()
    return history


def test_a_forgotten_sum_is_told_by_one_moment():
    server = PrometheusServer({"demand": MANY})
    assert "returns 300 series, but must return one; sum it" in histories(server)
    assert [one.points for one in server.asked] == [1]


def test_of_series_that_were_only_in_the_past_no_more_is_read_than_one_takes():
    """Each pod has its series, and there is one pod now."""
    gone = [
        FakeSeries(one.labels, lambda stamp: "0.1" if stamp < NOW - 3600 else None) for one in MANY
    ]
    server = PrometheusServer({"demand": [FakeSeries({"pod": "new"}, lambda _: "7"), *gone]})
    assert "is longer than" in histories(server)
    assert "sum it" in histories(server)


def test_a_past_of_one_series_with_long_labels_and_all_digits_is_within_the_bounds():
    one = FakeSeries({"job": "x" * 60_000}, lambda stamp: repr(stamp / 7e9))
    history = histories(PrometheusServer({"demand": [one]}))
    assert len(history) == 8 * 1440


def test_a_latency_that_cannot_be_read_leaves_the_demand_known():
    metrics = measured(PrometheusServer({"demand": [MANY[0]], "latency": MANY}))
    assert (metrics.observed_qps, metrics.latency_s) == (0.1, None)
    assert "returns 300 series" in metrics.fault


class Hanging(PrometheusServer):
    """Says nothing to queries that begin so."""

    def _answer(self, asked):
        if asked.params["query"].startswith("hangs"):
            return Reply(hold=True)
        return matrix([FakeSeries({}, lambda _: "7")], (int(asked.params["end"]),))


@pytest.mark.parametrize("odd", [1, 16, 40])
def test_queries_that_hang_leave_the_others_known_in_each_tick(odd):
    queries = [TrafficQuery(f"a/odd-{n}", f"hangs-{n}", None, NOW) for n in range(odd)]
    queries += [TrafficQuery(f"a/well-{n}", f"well-{n}", None, NOW) for n in range(20)]
    with serving(Hanging()) as server:
        settings = PrometheusSettings(server.url, timeout=timedelta(seconds=0.5), retries=0)
        asked = PrometheusTraffic(settings, STEP, workers=4)
        ticks = [asked.measure(queries, NOW + 15 * tick) for tick in range(3)]
        server.released.set()
        asked.close()
    for metrics in ticks:
        assert all(one.fault is not None for one in metrics[:odd])
        # A busy machine may be late for one or the other.
        assert sum(one.observed_qps == 7.0 for one in metrics[odd:]) >= 18


def test_all_that_is_asked_has_the_label_of_its_policys_namespace():
    with serving(Store()) as server:
        settings = PrometheusSettings(server.url, timeout=timedelta(seconds=10), retries=0)
        asked = PrometheusTraffic(settings, STEP, workers=2, hold=holder_of("namespace"))
        queries = [
            TrafficQuery("shop/a", "demand", 'latency{namespace="shop"}', NOW - 120),
            TrafficQuery("store/b", 'demand{namespace="shop"}', "info(latency)", NOW - 120),
        ]
        shop, store = asked.measure(queries, NOW)
        (past,) = asked.histories([("shop/a", "ready")], timedelta(hours=1), NOW)
        asked.close()
        sent = {one.params["query"] for one in server.asked}

    assert sent == {f'{name}{{namespace="shop"}}' for name in ("demand", "latency", "ready")}
    assert (shop.observed_qps, shop.latency_s, shop.fault) == (7.0, 7.0, None)
    assert not isinstance(past, str)
    assert math.isnan(store.observed_qps)
    assert 'may have namespace="store" alone' in store.fault


# The clock of who answers, by the dates of its answers.


@pytest.mark.parametrize("demand", ["demand", "nothing"])  # no series is a fault
@pytest.mark.parametrize("error_s", [0.0, 3600.0, -3600.0, 120.0, -120.0])
def test_each_answer_tells_how_far_our_clock_is_from_the_servers(demand, error_s):
    with serving(Store()) as server:
        asked = source(server, lambda: time.time() + error_s)  # noqa: TID251 - the server's is real
        (metrics,) = asked.measure([TrafficQuery("a/b", demand, None, NOW - 120)], NOW)
        asked.close()
    # What a date leaves open, and how long the answer takes, make it less, never more.
    least = 0.0 if error_s == 0.0 else abs(error_s) - 60.0
    assert least <= abs(metrics.clock_offset_s) <= abs(error_s)
    assert metrics.clock_offset_s * error_s >= 0.0
    assert (metrics.fault is None) == (demand == "demand")


def test_who_does_not_answer_tells_nothing_of_clocks():
    with serving(Store()) as server:
        pass
    asked = source(server, lambda: NOW)
    (metrics,) = asked.measure([TrafficQuery("a/b", "demand", None, NOW - 120)], NOW)
    asked.close()
    assert metrics.fault is not None
    assert metrics.clock_offset_s is None

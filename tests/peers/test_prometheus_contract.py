"""What a fetch may rely on, from the fake server of the fault tests and from a real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest

from forecaster.adapters.prometheus.answers import QueryGrid
from forecaster.adapters.prometheus.client import PrometheusSource
from forecaster.adapters.prometheus.fetch import Fetched, RangeQuery, fetch
from forecaster.adapters.prometheus.settings import PrometheusSettings
from forecaster.errors import PrometheusError
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.peers.prometheus import Samples
from tests.peers.traffic import BORN, END, GONE, MINUTES, START, STEP, demand, samples

DEMAND = "sum by (namespace, service) (demand_qps)"
LATER = END + timedelta(days=1)
LOOKBACK = 5  # minutes for which Prometheus goes on showing the last sample of a series


@pytest.fixture(scope="module", params=["fake", pytest.param("real", marks=pytest.mark.prometheus)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "real":
        yield request.getfixturevalue("real_prometheus")
        return
    recorded = samples()
    demand = [_shown(one) for one in recorded if one.name == "demand_qps"]
    raw = [_shown(one, {"__name__": one.name}) for one in recorded if "pod" in one.labels]
    answers = {DEMAND: demand, "http_requests_total": raw, "vector(1) / 0": [_infinite()]}
    with serving(PrometheusServer(answers)) as server:
        yield server.url


def _shown(one: Samples, more: dict[str, str] | None = None) -> FakeSeries:
    points = dict(one.points)

    def value(stamp: int) -> str | None:
        recent = (points.get(stamp - 60 * back) for back in range(LOOKBACK + 1))
        found = next((number for number in recent if number is not None), None)
        return None if found is None else f"{found:g}"

    return FakeSeries({**one.labels, **(more or {})}, value)


def _infinite() -> FakeSeries:
    return FakeSeries({}, lambda stamp: "+Inf")


def ask(url: str, promql: str, **change: object) -> Fetched:
    whole = {"start": START, "end": END, "step": STEP, **change}
    with PrometheusSource(PrometheusSettings(url, retries=0)) as source:
        return fetch(source, RangeQuery(promql, **whole), now=LATER)  # type: ignore[arg-type]


def test_a_range_longer_than_one_request_arrives_whole_and_exact(url: str) -> None:
    fetched = ask(url, DEMAND, item_labels=("namespace", "service"))
    assert [one.item_id for one in fetched.series] == ["prod/search", "prod/shop"]
    assert fetched.progress.total > 1
    shop = fetched.series[1]
    np.testing.assert_array_equal(shop.values, [demand(k) for k in range(MINUTES)])
    assert (shop.stamps[0], shop.stamps[-1]) == (START.timestamp(), (END - STEP).timestamp())


def test_a_series_is_missing_before_it_appears_and_after_it_vanishes(url: str) -> None:
    known = np.flatnonzero(~np.isnan(ask(url, DEMAND).series[0].values))
    assert known.tolist() == list(range(BORN, GONE + LOOKBACK))


@pytest.mark.parametrize("points", [997, 11_000])
def test_the_length_of_a_chunk_changes_nothing(url: str, points: int) -> None:
    for one, other in zip(
        ask(url, DEMAND).series, ask(url, DEMAND, chunk_points=points).series, strict=True
    ):
        np.testing.assert_array_equal(one.values, other.values)


def test_bad_promql_is_answered_with_the_servers_own_words(url: str) -> None:
    with pytest.raises(PrometheusError, match=r"'sum\(demand_qps'.*400.*parse error: unclosed"):
        ask(url, "sum(demand_qps")


def test_more_points_than_the_limit_are_refused_by_the_server(url: str) -> None:
    """Why there are chunks: 11,001 intervals are too many, 11,000 points are not."""
    first = int(START.timestamp())
    with PrometheusSource(PrometheusSettings(url, retries=0)) as source:
        assert len(source.query_range(DEMAND, QueryGrid(first, 60, 11_000)).series) == 2
        with pytest.raises(PrometheusError, match=r"400.*exceeded maximum resolution of 11,000"):
            source.query_range(DEMAND, QueryGrid(first, 60, 11_002))


def test_a_query_that_matches_nothing_says_so(url: str) -> None:
    with pytest.raises(PrometheusError, match="matches no series"):
        ask(url, "no_such_metric")


def test_two_pods_for_one_service_are_refused_with_the_sum_to_write(url: str) -> None:
    with pytest.raises(PrometheusError, match=r"sum by \(namespace, service\)"):
        ask(url, "http_requests_total", item_labels=("namespace", "service"))


def test_a_division_by_zero_arrives_as_infinite(url: str) -> None:
    (one,) = ask(url, "vector(1) / 0").series
    assert (one.item_id, np.isposinf(one.values).all()) == ("total", True)

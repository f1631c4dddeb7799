"""`forecaster fetch` against a real Prometheus with a backfilled history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from forecaster.adapters.tables.history_files import read_history
from forecaster.cli import main
from scaler.adapters.prometheus_traffic import PrometheusTraffic
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import TrafficQuery
from tests.peers.traffic import END, MINUTES, RESET, START, STEP, requests_until

pytestmark = pytest.mark.prometheus

RATE = "sum by (namespace, service) (rate(http_requests_total[5m]))"


def fetch(url: str, folder: Path, query: str, *more: str) -> int:
    return main(
        [
            *("fetch", "--prometheus", url, "--query", query),
            *("--start", START.isoformat(), "--end", END.isoformat(), "--step", "1m"),
            *("--item-label", "namespace", "--item-label", "service"),
            *("--out", str(folder / "h.parquet"), "--cache-dir", str(folder / "cache"), *more),
        ]
    )


def test_rates_of_two_pods_add_up_and_outlive_a_counter_reset(
    real_prometheus: str, tmp_path: Path
) -> None:
    assert fetch(real_prometheus, tmp_path, RATE) == 0
    known = read_history(tmp_path / "h.parquet").history["prod/shop"].values
    shop = np.append(np.full(MINUTES - len(known), np.nan), known)  # a first rate needs two samples
    window = [(requests_until(k) - requests_until(k - 5)) / 300 for k in range(5, MINUTES)]
    expected = np.concatenate([np.full(5, np.nan), 2 * np.array(window)])  # two pods
    near = slice(RESET, RESET + 6)
    # rate() sees the restart, but not what pod a had served in that minute: 700 requests at most.
    assert (np.abs(shop[near] - expected[near]) <= 700 / 300).all()
    whole = np.delete(np.arange(5, MINUTES), np.arange(RESET - 5, RESET + 1))
    np.testing.assert_allclose(shop[whole], expected[whole])


def test_the_same_counter_without_rate_is_refused_and_nothing_is_written(
    real_prometheus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total = "sum by (namespace, service) (http_requests_total)"
    assert fetch(real_prometheus, tmp_path, total) == 2
    assert "rate(" in capsys.readouterr().err
    assert not (tmp_path / "h.parquet").exists()


def test_many_items_and_more_than_11000_samples_come_in_one_command(
    real_prometheus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "sum by (namespace, service) (demand_qps)"
    assert fetch(real_prometheus, tmp_path, query) == 0
    history = read_history(tmp_path / "h.parquet").history
    assert history.item_ids == ("prod/search", "prod/shop")
    assert len(history["prod/shop"]) == MINUTES > 11_000
    assert "2 items" in capsys.readouterr().out


def test_a_second_fetch_takes_everything_from_the_cache(
    real_prometheus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(real_prometheus, tmp_path, RATE) == 0
    first = (tmp_path / "h.parquet").read_bytes()
    capsys.readouterr()
    assert fetch(real_prometheus, tmp_path, RATE) == 0
    assert "3 of 3 chunks came from" in capsys.readouterr().err
    assert (tmp_path / "h.parquet").read_bytes() == first


def test_the_message_of_bad_promql_is_prometheus_own(
    real_prometheus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(real_prometheus, tmp_path, "rate(demand_qps)") == 2
    assert "expected type range vector" in capsys.readouterr().err


@pytest.mark.parametrize(
    "written",
    [
        'sum(demand_qps{namespace="prod",service="NAME"})',
        'sum(rate(http_requests_total{namespace="prod",service="NAME"}[5m]))',
        '60 * max(avg_over_time(demand_qps{service="NAME",namespace!="test"}[10m] offset 1h))',
        'histogram_quantile(0.9, sum by (le) (rate(none_bucket{service="NAME"}[5m])))',
    ],
)
@pytest.mark.parametrize("minute", [5_000, 9_002, 11_000])  # after GONE there is no search
def test_services_that_are_asked_together_get_what_each_gets_alone(
    real_prometheus: str, written: str, minute: int
) -> None:
    now = (START + minute * STEP).timestamp()
    asked = [
        TrafficQuery(f"prod/{name}", written.replace("NAME", name), None, now - 300)
        for name in ("shop", "search", "none")
    ]

    def measured(queries: list[TrafficQuery]) -> list[ServiceMetrics]:
        source = PrometheusTraffic(PrometheusSettings(real_prometheus), STEP)
        try:
            return [replace(one, fault=None) for one in source.measure(queries, now)]
        finally:
            source.close()

    alone = [measured([one])[0] for one in asked]
    assert repr(measured(asked)) == repr(alone)  # so that NaN is like NaN
    if "_bucket" not in written:
        assert alone[0].observed_qps > 0

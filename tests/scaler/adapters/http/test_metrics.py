"""The metrics that Prometheus scrapes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scaler.adapters.http.metrics import Telemetry
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import Condition, ConditionKind, PlanOutcome
from tests.scaler.adapters.http.snapshots import AT, snapshot, view


def samples(telemetry: Telemetry) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(telemetry.exposition().decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("series", "value"),
    [
        pytest.param(("tidegate_forecast_age_seconds", "prod/shop"), 30.0, id="forecast age"),
        pytest.param(("tidegate_forecast_coverage_ratio", "prod/shop"), 0.95, id="coverage"),
        pytest.param(("tidegate_forecast_trusted", "prod/shop"), 1.0, id="trust"),
        pytest.param(("tidegate_floor_replicas", "prod/shop"), 7.0, id="floor that stands"),
        pytest.param(("tidegate_plan_replicas", "prod/shop"), 8.0, id="plan"),
        pytest.param(("tidegate_limit_requests_per_second", "prod/shop"), 1240.0, id="limit"),
        pytest.param(
            ("tidegate_replica_capacity_requests_per_second", "prod/shop"), 155.0, id="capacity"
        ),
        pytest.param(("tidegate_limit_binding", "capacity", "prod/shop"), 1.0, id="what bound it"),
        pytest.param(("tidegate_decisions_total", "wanted"), 2.0, id="decisions by reason"),
        pytest.param(
            ("tidegate_api_errors_total", "ClusterFailed", "kubernetes"), 2.0, id="API errors"
        ),
        pytest.param(("tidegate_tick_duration_seconds_count",), 2.0, id="ticks"),
        pytest.param(("tidegate_tick_duration_seconds_sum",), 1.0, id="how long they took"),
        pytest.param(("tidegate_tick_timestamp_seconds",), AT, id="when the last one began"),
        pytest.param(("tidegate_replica_seconds_total", "hpa", "prod/shop"), 32400.0, id="ledger"),
        pytest.param(("tidegate_clock_offset_seconds",), -40.0, id="a clock that is behind"),
        pytest.param(("tidegate_clock_steps_total",), 1.0, id="how often it was set"),
    ],
)
def test_metrics_have_the_values(series, value):
    holder = SnapshotHolder()
    telemetry = Telemetry(holder)
    failed = Condition(ConditionKind.READY, False, "ClusterFailed", "409")
    for tick in (1, 2):
        published = snapshot(view().told(PlanOutcome((failed,), floor=7)), tick=tick, seconds=0.5)
        set_by_s = 3600.0 if tick == 2 else 0.0
        published = replace(published, set_by_s=set_by_s, clock_offset_s=-40.0)
        holder.publish(published)
        telemetry.observe(published)
    assert samples(telemetry)[series] == pytest.approx(value)


def test_unknown_values_and_deleted_services_have_no_samples():
    holder = SnapshotHolder()
    telemetry = Telemetry(holder)
    unknown = replace(view(), observed_qps=math.nan, forecast=None, trust=None)
    holder.publish(snapshot(unknown))
    names = {series[0] for series in samples(telemetry)}
    assert "tidegate_observed_requests_per_second" not in names
    assert "tidegate_forecast_age_seconds" not in names
    holder.publish(snapshot(view("prod/other")))
    assert not any("prod/shop" in series for series in samples(telemetry))

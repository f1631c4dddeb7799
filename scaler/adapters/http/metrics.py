"""The metrics of this process for Prometheus.

Gauges are read from the latest snapshot at each scrape, so a policy that is deleted leaves none
behind. Counters are incremented by their owners and are safe to use from any thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scaler.adapters.http.lease_document import is_trusted
from scaler.adapters.http.problems import RefusalReason
from scaler.adapters.http.process_metrics import certificates, journal, refused_connections
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import ConditionKind, ServiceView, Snapshot
from scaler.decision.trust import Standing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Value = Callable[[ServiceView], float | int | None]

# Name, help, and the value of one service; None and NaN give no sample.
_GAUGES: tuple[tuple[str, str, _Value], ...] = (
    (
        "tidegate_forecast_age_seconds",
        "Seconds from the forecast's origin to the tick.",
        lambda view: view.at - view.forecast.origin if view.forecast else None,
    ),
    (
        "tidegate_forecast_coverage_ratio",
        "Share of the lead times of late whose demand lay within what was foreseen.",
        lambda view: view.trust.coverage if view.trust else None,
    ),
    (
        "tidegate_forecast_skill_ratio",
        "Loss of the forecast relative to that of the last value; below 1 is better.",
        lambda view: view.trust.skill if view.trust else None,
    ),
    (
        "tidegate_forecast_trusted",
        "1 if the forecast is acted on, 0 if the service is scaled reactively.",
        lambda view: float(is_trusted(view)),
    ),
    (
        "tidegate_observed_requests_per_second",
        "Demand offered now, admitted or not.",
        lambda view: view.observed_qps,
    ),
    (
        "tidegate_demand_requests_per_second",
        "Demand to be ready for.",
        lambda view: view.decision.demand.qps if view.decision else None,
    ),
    (
        "tidegate_floor_replicas",
        "The autoscaler's minReplicas, as it stands.",
        lambda view: view.floor,
    ),
    (
        "tidegate_plan_replicas",
        "Replicas that are asked for at least; under Enforce the floor follows.",
        lambda view: view.decision.plan.replicas if view.decision else None,
    ),
    (
        "tidegate_replica_capacity_requests_per_second",
        "What one ready replica is believed to sustain within the SLO.",
        lambda view: view.decision.capacity.qps if view.decision else None,
    ),
    ("tidegate_replicas", "Replicas there are.", lambda view: view.replicas),
    ("tidegate_ready_replicas", "Replicas that are ready.", lambda view: view.ready),
    (
        "tidegate_plain_hpa_replicas",
        "Replicas that a plain HPA would have.",
        lambda view: view.hpa_replicas,
    ),
    (
        "tidegate_limit_requests_per_second",
        "What all gateways together may admit.",
        lambda view: view.published_limit.limit.qps if view.published_limit else None,
    ),
    (
        "tidegate_safe_limit_requests_per_second",
        "What they admit when they have not heard of tidegate for long.",
        lambda view: view.published_limit.safe.qps if view.published_limit else None,
    ),
    (
        "tidegate_policy_error",
        "1 if the policy could not be decided on.",
        lambda view: float(view.error is not None),
    ),
)

# Reasons of conditions that tell of a call without a usable answer, and which API was called.
_FAILED_CALLS = {
    "QueryFailed": "prometheus",
    "PartialAnswer": "prometheus",
    "Implausible": "prometheus",
    "ClusterFailed": "kubernetes",
}


class Telemetry:
    """All metrics of one process.

    Attributes:
        gateways: returns how many gateways hold a share, by service; `create_app` sets it.
        journal: returns whether the journal is written, and how many events it lacks; None
            without a journal.
        refused_connections: returns how many were refused because too few files were left.
        certificate_expiries: returns when the certificates of the endpoint expire, in seconds
            since the epoch, by what they are.

    Args:
        holder: of the snapshot that gauges are read from.
    """

    def __init__(self, holder: SnapshotHolder) -> None:
        self.gateways: Callable[[], dict[str, int]] = dict
        self.journal: Callable[[], tuple[bool, int] | None] = lambda: None
        self.refused_connections: Callable[[], int] = int
        self.certificate_expiries: Callable[[], Mapping[str, float]] = dict
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "tidegate_decisions_total", "Plans, by what bound them.", ("reason",),
            registry=self.registry,
        )  # fmt: skip
        self._errors = Counter(
            "tidegate_api_errors_total",
            "Calls without a usable answer, by whom was called (kubernetes, prometheus) and why.",
            ("api", "reason"),
            registry=self.registry,
        )
        self._requests = Counter(
            "tidegate_http_requests_total", "Requests answered, by status.", ("code",),
            registry=self.registry,
        )  # fmt: skip
        self._refused = Counter(
            "tidegate_refused_requests_total",
            "Requests that were refused for who sent them, by why.",
            ("reason",),
            registry=self.registry,
        )
        for reason in RefusalReason:
            self._refused.labels(reason.value)
        self._clock_steps = Counter(
            "tidegate_clock_steps_total", "How often the wall clock was set, not slewed.",
            registry=self.registry,
        )  # fmt: skip
        self._ticks = Histogram(
            "tidegate_tick_duration_seconds", "How long ticks took.", registry=self.registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60),
        )  # fmt: skip
        self._codes: dict[int, Counter] = {}
        self.registry.register(_SnapshotCollector(holder, self))

    def observe(self, snapshot: Snapshot) -> None:
        """Count one tick; call it once for each snapshot that is published."""
        self._ticks.observe(snapshot.seconds)
        self._clock_steps.inc(snapshot.set_by_s != 0.0)
        for view in snapshot.services.values():
            if view.decision is not None:
                self._decisions.labels(view.decision.plan.reason.value).inc()
            for condition in view.conditions:
                if condition.reason in _FAILED_CALLS:
                    self._errors.labels(_FAILED_CALLS[condition.reason], condition.reason).inc()

    def count_response(self, code: int, reason: RefusalReason | None = None) -> None:
        """Count a response of the endpoint by its status, and by why who asks is refused."""
        if reason is not None:
            self.count_refusal(reason)
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = self._requests.labels(str(code))
        counter.inc()

    def count_refusal(self, reason: RefusalReason) -> None:
        self._refused.labels(reason.value).inc()

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class _SnapshotCollector(Collector):
    def __init__(self, holder: SnapshotHolder, telemetry: Telemetry) -> None:
        self._holder, self._telemetry = holder, telemetry

    def collect(self) -> Iterable[Metric]:
        held = self._holder.latest()
        snapshot = held.snapshot if held else None
        views = list(snapshot.services.values()) if snapshot else []
        for name, text, value in _GAUGES:
            yield _family(name, text, views, value)
        yield from _labelled(views)
        yield from _ledgers(views)
        gateways = GaugeMetricFamily(
            "tidegate_gateways", "Gateways that hold a share.", labels=("item",)
        )
        for service, count in self._telemetry.gateways().items():
            gateways.add_metric((service,), count)
        yield gateways
        yield from journal(self._telemetry.journal())
        yield refused_connections(self._telemetry.refused_connections())
        yield from certificates(self._telemetry.certificate_expiries())
        if snapshot is not None:
            yield GaugeMetricFamily(
                "tidegate_tick_timestamp_seconds", "When the last tick began.", value=snapshot.at
            )
            yield GaugeMetricFamily(
                "tidegate_leader", "1 if this replica acts.", value=float(snapshot.leader)
            )
            if snapshot.clock_offset_s is not None:
                yield GaugeMetricFamily(
                    "tidegate_clock_offset_seconds",
                    "By how much the wall clock is ahead of Prometheus', at least.",
                    value=snapshot.clock_offset_s,
                )
        if held is not None:
            yield GaugeMetricFamily(
                "tidegate_hands_out_limits",
                "1 if this replica hands out limits: as the leader, or for now as who led last.",
                value=float(held.tenure.hands_out),
            )


def _family(name: str, text: str, views: list[ServiceView], value: _Value) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("item",))
    for view in views:
        found = value(view)
        if found is not None and not math.isnan(found):
            family.add_metric((view.item_id,), float(found))
    return family


def _labelled(views: list[ServiceView]) -> Iterable[Metric]:
    binding = GaugeMetricFamily(
        "tidegate_limit_binding", "1 for what bound the limit.", labels=("item", "reason")
    )
    plans = GaugeMetricFamily(
        "tidegate_floor_binding", "1 for what bound the plan.", labels=("item", "reason")
    )
    standing = GaugeMetricFamily(
        "tidegate_forecast_standing", "1 for what the forecast is worth.",
        labels=("item", "standing"),
    )  # fmt: skip
    conditions = GaugeMetricFamily(
        "tidegate_condition", "1 where a condition is true.", labels=("item", "kind")
    )
    for view in views:
        if view.published_limit is not None:
            binding.add_metric((view.item_id, view.published_limit.limit.reason.value), 1.0)
        if view.decision is not None:
            plans.add_metric((view.item_id, view.decision.plan.reason.value), 1.0)
        if view.trust is not None:
            for one in Standing:
                standing.add_metric((view.item_id, one.value), float(one is view.trust.standing))
        statuses = {condition.kind: condition.status for condition in view.conditions}
        for kind in ConditionKind:
            if kind in statuses:
                conditions.add_metric((view.item_id, kind.value), float(statuses[kind]))
    return binding, plans, standing, conditions


def _ledgers(views: list[ServiceView]) -> Iterable[Metric]:
    replicas = CounterMetricFamily(
        "tidegate_replica_seconds",
        "Replica-seconds there were, and those that a plain HPA would have had.",
        labels=("item", "scaler"),
    )
    short = CounterMetricFamily(
        "tidegate_short_seconds",
        "Seconds in which ready replicas could not serve what was offered.",
        labels=("item", "scaler"),
    )
    price = GaugeMetricFamily(
        "tidegate_replica_hour_price",
        "What a replica costs for an hour, by the policy.",
        labels=("item", "currency"),
    )
    for view in views:
        if view.policy.price is not None:
            labels = (view.item_id, view.policy.price.currency)
            price.add_metric(labels, view.policy.price.replica_hour)
        ledger = view.ledger
        replicas.add_metric((view.item_id, "tidegate"), ledger.replica_hours * 3600)
        replicas.add_metric((view.item_id, "hpa"), ledger.hpa_replica_hours * 3600)
        short.add_metric((view.item_id, "tidegate"), ledger.short_s)
        short.add_metric((view.item_id, "hpa"), ledger.hpa_short_s)
    return replicas, short, price

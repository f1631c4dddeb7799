"""The metrics of this process that are of no service: its journal, certificates, connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


def refused_connections(count: int) -> Metric:
    return CounterMetricFamily(
        "tidegate_refused_connections",
        "Connections that were refused because too few files were left.",
        value=count,
    )


def journal(health: tuple[bool, int] | None) -> Iterable[Metric]:
    if health is None:
        return
    written, dropped = health
    yield GaugeMetricFamily(
        "tidegate_journal_written",
        "1 while the journal is written, 0 while it has a gap.",
        value=float(written),
    )
    yield CounterMetricFamily(
        "tidegate_journal_dropped_events", "Events that the journal lacks.", value=dropped
    )


def certificates(expiries: Mapping[str, float]) -> Iterable[Metric]:
    if not expiries:
        return
    family = GaugeMetricFamily(
        "tidegate_certificate_expiry_timestamp_seconds",
        "When what the endpoint's TLS uses expires: its certificate, the CA of its clients.",
        labels=("use",),
    )
    for use, at in expiries.items():
        family.add_metric((use,), at)
    yield family

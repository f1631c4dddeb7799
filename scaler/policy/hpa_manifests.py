"""Specs of HorizontalPodAutoscalers of any version, as those of `autoscaling/v2`.

Source: kubernetes.io, the API references of `autoscaling/v1`, `v2beta1` and `v2beta2`; the last has
the fields of `v2`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_V1_KEY = "targetCPUUtilizationPercentage"
# Of v2beta1: the key of a target, and its type and key of today.
_TARGETS = {
    "targetAverageUtilization": ("Utilization", "averageUtilization"),
    "targetAverageValue": ("AverageValue", "averageValue"),
    "targetValue": ("Value", "value"),
}
# Types of metrics that a replay does not model.
UNMODELLED = ("Object", "ContainerResource")
# Words of a metric's name that tell a rate of requests, or something else about requests.
# `prometheus` is all that KEDA's metric of that scaler says.
_RATE_WORDS = frozenset({
    "calls", "hits", "http", "prometheus", "qps", "queries", "reqs", "request", "requests", "rps",
    "throughput", "tps",
})  # fmt: skip
_OTHER_WORDS = frozenset({
    "active", "backlog", "bytes", "concurrency", "concurrent", "connections", "duration", "errors",
    "failed", "flight", "inflight", "lag", "latency", "pending", "queue", "queued", "size",
    "waiting",
})  # fmt: skip
_SELECTORS = ("selector", "metricSelector")
_SOURCES = ("resource", "pods", "external")


def current_spec(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec in the form of today.

    >>> current_spec({"targetCPUUtilizationPercentage": 60})["metrics"][0]["resource"]["target"]
    {'type': 'Utilization', 'averageUtilization': 60}
    """
    spec = dict(data)
    if _V1_KEY in spec and "metrics" not in spec:
        target = {"type": "Utilization", "averageUtilization": spec.pop(_V1_KEY)}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if isinstance(spec.get("metrics"), list):
        spec["metrics"] = [_current_metric(metric) for metric in spec["metrics"]]
    return spec


def modelled_metrics(metrics: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """Return those of several metrics that a replay models, and names of the others.

    A replay knows the requests alone: a metric of pods or an external one is left out if it is not
    named like a rate of requests, unless there is no other.
    """
    kept, left_out = _without(metrics, _unmodelled)
    kept, of_others = _without(kept, _of_others)
    return kept, left_out + of_others


def _without(metrics: Sequence[Any], name: Callable[[object], str]) -> tuple[list[Any], list[str]]:
    """Return the metrics that ``name`` gives no name, and the names; all if none would be left."""
    names = [name(metric) for metric in metrics]
    kept = [metric for metric, found in zip(metrics, names, strict=True) if not found]
    return (kept, [found for found in names if found]) if kept else (list(metrics), [])


def _of_others(metric: object) -> str:
    """Return the name of a metric that says nothing of a rate of requests; "" for others."""
    source = (metric.get("pods") or metric.get("external")) if isinstance(metric, dict) else None
    named = source.get("metric") if isinstance(source, dict) else None
    name = named.get("name") if isinstance(named, dict) else None
    return name if isinstance(name, str) and not _is_rate(name) else ""


def _is_rate(name: str) -> bool:
    """Return whether a metric is named like a rate of requests.

    >>> [_is_rate(name) for name in ("http_requests_per_second", "RequestCount", "s0-prometheus")]
    [True, True, True]
    >>> [_is_rate(name) for name in ("queue_depth", "http_requests_in_flight")]
    [False, False]
    """
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    return bool(words & _RATE_WORDS) and not words & _OTHER_WORDS


def _unmodelled(metric: object) -> str:
    """Return the name of a metric that a replay does not model; "" for others."""
    if not isinstance(metric, dict):
        return ""
    if metric.get("type") in UNMODELLED:
        return str(metric["type"])
    resource = metric.get("resource")
    name = resource.get("name") if isinstance(resource, dict) else "cpu"
    return str(name) if metric.get("type") == "Resource" and name != "cpu" else ""


def _current_metric(metric: object) -> object:
    if not isinstance(metric, dict):
        return metric
    return {
        key: _current_source(source) if key in _SOURCES and isinstance(source, dict) else source
        for key, source in metric.items()
    }


def _current_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a metric refers to, with its target and its identifier in their own mappings."""
    current = dict(source)
    for old, (kind, key) in _TARGETS.items():
        if old in current and "target" not in current:
            current["target"] = {"type": kind, key: current.pop(old)}
    if "metricName" in current and "metric" not in current:
        current["metric"] = {"name": current.pop("metricName")}
        for old in _SELECTORS:
            if old in current:
                current["metric"]["selector"] = current.pop(old)
    return current

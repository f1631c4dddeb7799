"""Specs of HorizontalPodAutoscalers of any version, as those of `autoscaling/v2`.

Source: kubernetes.io, the API references of `autoscaling/v1`, `v2beta1` and `v2beta2`; the last has
the fields of `v2`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Return those of several metrics that a replay models, and names of the others."""
    left_out = {place: name for place, one in enumerate(metrics) if (name := _unmodelled(one))}
    kept = [one for place, one in enumerate(metrics) if place not in left_out]
    return (kept, list(left_out.values())) if kept else (list(metrics), [])


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

"""An HPA's targets as shares of what one replica sustains within the SLO."""

from __future__ import annotations

from dataclasses import replace

from scaler.hpa.rules import HPASpec, MetricGoal, MetricKind


def share_of(spec: HPASpec, capacity_qps: float) -> float:
    """Return the target of the first metric as a share of a replica's capacity.

    >>> share_of(HPASpec(1, 40, MetricKind.PODS, target=30), 50.0)
    0.6
    """
    utilization = spec.metric is MetricKind.UTILIZATION
    return spec.target if utilization else spec.target / capacity_qps


def aimed(spec: HPASpec, share: float, capacity_qps: float) -> HPASpec:
    """Return the autoscaler with its first metric's target at a share of a replica's capacity.

    The targets of its other metrics keep their proportion to it. A utilization is in whole per
    cent, as the API has it.
    """
    utilization = spec.metric is MetricKind.UTILIZATION
    target = round(share, 2) if utilization else share * capacity_qps
    ratio = share / share_of(spec, capacity_qps)
    return replace(spec, target=target, more=tuple(_scaled(goal, ratio) for goal in spec.more))


def _scaled(goal: MetricGoal, ratio: float) -> MetricGoal:
    target = goal.target * ratio
    if goal.metric is MetricKind.UTILIZATION:
        target = max(round(target, 2), 0.01)
    return MetricGoal(goal.metric, target)

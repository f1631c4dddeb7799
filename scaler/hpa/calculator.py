"""The HPA's replica calculator: from one metric reading to the replicas that it asks for.

Source: kubernetes/kubernetes, `pkg/controller/podautoscaler/replica_calculator.go` and
`metrics/utilization.go` in the same directory, as of v1.33. As in the metrics API, sums are whole
numbers of thousandths, and a CPU request counts as 1000; so results are rounded where the
controller rounds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from scaler.hpa.rules import HPASpec, MetricKind, Reading


@dataclass(frozen=True, slots=True)
class Gauge:
    """The target in the controller's units, and the tolerance around it.

    Attributes:
        target: whole per cent for UTILIZATION, else thousandths.
        unit: thousandths of a request in one unit of ``target`` for UTILIZATION, else 1.
        fill: thousandths assumed for a pod without a sample on a scale-down.
        low, high: ratios of value to target from ``low`` to ``high`` cause no change.
    """

    target: int
    unit: int
    fill: int
    low: float
    high: float

    @classmethod
    def of(cls, spec: HPASpec) -> Gauge:
        low, high = 1.0 - spec.down.tolerance, 1.0 + spec.up.tolerance
        if spec.metric is MetricKind.UTILIZATION:
            percent = round(100 * spec.target)
            return cls(percent, 10, 10 * max(100, percent), low, high)
        target = math.ceil(round(1000 * spec.target, 6))
        return cls(target, 1, target, low, high)


def _by_average(gauge: Gauge, current: int, reading: Reading) -> int | None:
    """Return the count that brings the pods' average to the target; None without a sample.

    The ratio to the target is first computed over the ready pods with a sample. If there are pods
    without a sample, or unready pods on a scale-up, it is computed again with conservative values
    for them. The second ratio is used, unless it lies within the tolerance or reverses the
    direction; then the count stays.
    Source: `GetResourceReplicas` and `calcPlainMetricReplicas` in replica_calculator.go; the mean
    is truncated to whole per cent (UTILIZATION) or thousandths by metrics/utilization.go.
    """
    pods = reading.ready
    if not pods:
        return None
    low, high, target, unit = gauge.low, gauge.high, gauge.target, gauge.unit
    total = int(reading.total * 1000.0 + 0.5)
    ratio = total // (unit * pods) / target
    dampened = ratio > 1.0 and reading.unready
    if not dampened and not reading.missing:
        return current if low <= ratio <= high else math.ceil(ratio * pods)
    if ratio < 1.0:
        total += reading.missing * gauge.fill
    if ratio != 1.0:
        pods += reading.missing
    if dampened:
        pods += reading.unready
    again = total // (unit * pods) / target
    if low <= again <= high or ratio < 1.0 < again or again < 1.0 < ratio:
        return current
    replicas = math.ceil(again * pods)
    turned = replicas > current if again < 1.0 else replicas < current
    return current if turned else replicas


def _by_external_average(gauge: Gauge, current: int, reading: Reading) -> int:
    """Return ceil(total / target), unless the current count meets it within the tolerance.

    Source: `GetExternalPerPodMetricReplicas` in replica_calculator.go, where ``current`` is
    `status.replicas`.
    """
    total = int(reading.total * 1000.0 + 0.5)
    if current and gauge.low <= total / (gauge.target * current) <= gauge.high:
        return current
    return math.ceil(total / gauge.target)


def _by_external_value(gauge: Gauge, current: int, reading: Reading) -> int:
    """Return ready pods * total / target, unless that ratio is within the tolerance.

    At 0 replicas it is the ratio itself. Source: `GetExternalMetricReplicas` and
    `getUsageRatioReplicaCount` in replica_calculator.go.
    """
    ratio = int(reading.total * 1000.0 + 0.5) / gauge.target
    if not current:
        return math.ceil(ratio)
    return current if gauge.low <= ratio <= gauge.high else math.ceil(ratio * reading.ready)


_CALCULATORS = {
    MetricKind.UTILIZATION: _by_average,
    MetricKind.PODS: _by_average,
    MetricKind.EXTERNAL_AVERAGE: _by_external_average,
    MetricKind.EXTERNAL_VALUE: _by_external_value,
}


def calculator_of(spec: HPASpec) -> Callable[[int, Reading], int | None]:
    """Return the function from the current count and a reading to the count that it asks for.

    It is that of the first metric.

    >>> calculator_of(HPASpec(1, 40, MetricKind.PODS, target=50))(4, Reading(total=300, ready=4))
    6
    """
    return partial(_CALCULATORS[spec.metric], Gauge.of(spec))


def calculators_of(spec: HPASpec) -> list[Callable[[int, Reading], int | None]]:
    """Return that function for each metric, the first one first."""
    return [
        calculator_of(replace(spec, metric=goal.metric, target=goal.target)) for goal in spec.goals
    ]

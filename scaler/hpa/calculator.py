"""From one reading to the replicas its metric alone asks for.

Source: kubernetes/kubernetes, `pkg/controller/podautoscaler/replica_calculator.go` and
`metrics/utilization.go` beside it, as they are since v1.33. Sums are kept in thousandths as whole
numbers, as the metrics API does, and a CPU request is taken as 1000 of them; so rounding falls
where the controller's does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from scaler.hpa.rules import HPASpec, MetricKind, Reading


@dataclass(frozen=True, slots=True)
class Gauge:
    """The target as the controller holds it, and the ratios to it that change nothing.

    Attributes:
        target: whole per cent for UTILIZATION, else thousandths.
        unit: thousandths of a request in one unit of ``target``, else 1.
        fill: thousandths that a pod without a sample is taken to use on a scale-down.
    """

    target: int
    unit: int
    fill: int
    low: float
    high: float

    @classmethod
    def of(cls, spec: HPASpec) -> Gauge:
        low, high = 1.0 - spec.scale_down.tolerance, 1.0 + spec.scale_up.tolerance
        if spec.metric is MetricKind.UTILIZATION:
            percent = round(100 * spec.target)
            return cls(percent, 10, 10 * max(100, percent), low, high)
        target = math.ceil(round(1000 * spec.target, 6))
        return cls(target, 1, target, low, high)


def _by_average(gauge: Gauge, current: int, reading: Reading) -> int | None:
    """Return the count that brings the pods' average to the target; None without a sample.

    First over the pods that count; if pods without a sample, or unready ones on a scale-up, are
    there, again with them at their cautious values. The second ratio wins unless it lies within
    the tolerance or turns the direction round; then the count stays.
    Source: `GetResourceReplicas` and `calcPlainMetricReplicas` in replica_calculator.go; the mean
    is cut to whole per cent (UTILIZATION) or thousandths by metrics/utilization.go.
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

    Source: `GetExternalPerPodMetricReplicas` in replica_calculator.go, with the pods there are
    (`status.replicas`) taken as ``current``.
    """
    total = int(reading.total * 1000.0 + 0.5)
    if gauge.low <= total / (gauge.target * current) <= gauge.high:
        return current
    return math.ceil(total / gauge.target)


def _by_external_value(gauge: Gauge, current: int, reading: Reading) -> int:
    """Return the ready pods times total / target, unless that ratio is within the tolerance.

    Source: `GetExternalMetricReplicas` in replica_calculator.go.
    """
    ratio = int(reading.total * 1000.0 + 0.5) / gauge.target
    return current if gauge.low <= ratio <= gauge.high else math.ceil(ratio * reading.ready)


_CALCULATORS = {
    MetricKind.UTILIZATION: _by_average,
    MetricKind.PODS: _by_average,
    MetricKind.EXTERNAL_AVERAGE: _by_external_average,
    MetricKind.EXTERNAL_VALUE: _by_external_value,
}


def calculator_of(spec: HPASpec) -> Callable[[int, Reading], int | None]:
    """Return the function from the current count and a reading to the count its metric wants.

    >>> calculator_of(HPASpec(1, 40, MetricKind.PODS, target=50))(4, Reading(total=300, ready=4))
    6
    """
    return partial(_CALCULATORS[spec.metric], Gauge.of(spec))

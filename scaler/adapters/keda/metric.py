"""The target and the value of a trigger's metric, such that the HPA arrives at the plan.

KEDA turns them into an External metric with an AverageValue. At ``c`` replicas the HPA wants
``ceil(value / target)``, but keeps ``c`` where ``value / (target * c)`` is within its tolerance of
1. It follows:

* With a tolerance of 0 the plan's replicas at a target of 1 are exact, up and down.
* With a tolerance of 0.1 no value takes 20 replicas to 21, for every value that rounds up to 21 is
  within the tolerance. The smallest count outside of it is shown instead, 23. So the HPA never
  stays below the plan, and exceeds it only where the plan is at most a tenth above the replicas
  that run. Larger steps are exact.
* On a scale-down the tolerance may leave up to ``plan / 0.9`` replicas, as with any metric.

KEDA writes the target into the HPA when it reconciles the ScaledObject, but polls the value. So the
target must be constant, and everything that changes goes into the value.

Values are whole thousandths, as the metrics API has them. Source: `GetExternalPerPodMetricReplicas`
in kubernetes/kubernetes, `pkg/controller/podautoscaler/replica_calculator.go`; `GenerateMetricInMili`
in kedacore/keda, `pkg/scalers/scaler.go`.
"""  # noqa: E501 - a name in a path

from __future__ import annotations

import math

from scaler.adapters.keda.trigger import Trigger, TriggerError, TriggerMetric
from scaler.control.snapshot import ServiceView
from scaler.decision.decide import Decision
from scaler.decision.replicas import PlanReason, replicas_for
from scaler.errors import ScalerError
from scaler.limits.lease import MAX_QPS

MILLI = 1000
# Up to here a float holds every thousandth exactly, also after KEDA's conversion.
MAX_MILLI = 10**15


class NotKnownError(ScalerError):
    """No value is known that may be acted on; the message says why."""


def target_milli(trigger: Trigger, view: ServiceView | None) -> int:
    """Return the target per replica; ``view`` is None before the first tick.

    Raises:
        TriggerError: the target depends on a learned capacity, which is not constant.
        NotKnownError: the target depends on the policy, which is not known yet.
    """
    if trigger.metric is TriggerMetric.REPLICAS:
        return MILLI
    qps = trigger.target_qps
    if qps is None:
        if view is None:
            raise NotKnownError("there has been no tick yet, and the trigger gives no targetQps")
        if view.policy.capacity_qps is None:
            raise TriggerError(
                f"targetQps is missing, but must be given where the policy learns the capacity, as "
                f"that of {view.item_id} does: a target must not move"
            )
        qps = view.policy.capacity_qps * view.policy.scale.target_utilization
    return max(1, round(qps * MILLI))


def value_milli(trigger: Trigger, view: ServiceView) -> int:
    """Return the value, above 0.

    Raises:
        TriggerError: as `target_milli` does.
        NotKnownError: the value is not known, or out of bounds.
    """
    decision = _known_decision(view)
    if trigger.metric is TriggerMetric.REPLICAS:
        value = MILLI * shown_replicas(decision.plan.replicas, view.replicas, trigger.tolerance)
    else:
        value = _demand_milli(decision, view, target_milli(trigger, view))
    if not 0 < value <= MAX_MILLI:
        raise NotKnownError(f"{view.item_id}: the value of {value / MILLI:g} is absurd")
    return value


def shown_replicas(plan: int, current: int | None, tolerance: float) -> int:
    """Return the replicas to show to an HPA so that it runs at least ``plan``.

    Args:
        plan: replicas that the plan asks for.
        current: replicas that the HPA counts now; None is unknown and taken as ``plan - 1``, the
            worst case.
        tolerance: of the HPA on a scale-up.

    >>> [shown_replicas(plan, 20, 0.1) for plan in (19, 20, 21, 22, 23, 40)]
    [19, 20, 23, 23, 23, 40]
    >>> shown_replicas(21, 20, 0.0)
    21
    """
    running = plan - 1 if current is None else current
    if not 0 < running < plan:
        return plan
    # The billionth is for rounding: as floats, 100 * 1.13 is less than 113, which is within.
    return max(plan, math.floor(running * (1 + tolerance) + 1e-9) + 1)


def is_active(trigger: Trigger, view: ServiceView, *, fresh: bool) -> bool:
    """Return whether the service must run; it need not only if known, fresh demand says so."""
    if trigger.activation_qps is None or not fresh:
        return True
    try:
        demand = _known_decision(view).demand.qps
    except NotKnownError:
        return True
    return not demand <= trigger.activation_qps


def wire_float(milli: int) -> float:
    """Return the float that KEDA, which truncates, reads as that many thousandths.

    >>> int(1.001 * 1000), int(wire_float(1001) * 1000)
    (1000, 1001)
    """
    value = milli / MILLI
    return value if int(value * MILLI) >= milli else math.nextafter(value, math.inf)


def wire_int(milli: int) -> int:
    """Return the whole number for clients that do not read floats, rounded up."""
    return -(-milli // MILLI)


def _known_decision(view: ServiceView) -> Decision:
    """Return the decision, if it rests on a demand that was known.

    A plan holds for its lifetime after the demand was last known. Two plans are not passed on: that
    of a start without any demand, which only repeats the replicas found in the cluster, and a plan
    that decays. Without a value the HPA keeps its replicas or uses its other metrics.
    """
    decision = view.decision
    if decision is None:
        raise NotKnownError(f"{view.item_id}: {view.error or 'nothing is decided yet'}")
    if decision.state.plan.wanted is None:
        raise NotKnownError(f"{view.item_id}: no demand has been known since the start")
    if decision.plan.reason is PlanReason.DECAYED:
        raise NotKnownError(
            f"{view.item_id}: no demand has been known for longer than a plan holds"
        )
    return decision


def _demand_milli(decision: Decision, view: ServiceView, target: int) -> int:
    """Return the value for which ``value / target`` rounds up to the replicas that are wanted.

    It is the demand itself if the capacity is the policy's. If replicas are estimated to sustain
    less, the value is higher, for the target in the HPA is constant.
    """
    demand = decision.demand.qps
    if not 0 <= demand <= MAX_QPS:
        raise NotKnownError(f"{view.item_id}: the demand is not known, or absurd: {demand} qps")
    replica_qps = decision.capacity.qps * view.policy.scale.target_utilization
    if not demand / replica_qps < MAX_QPS:
        raise NotKnownError(f"{view.item_id}: the capacity of {replica_qps} qps is absurd")
    wanted = replicas_for(demand, replica_qps)
    value = round(demand / replica_qps * target)
    return max(1, min(max(value, (wanted - 1) * target + 1), wanted * target))

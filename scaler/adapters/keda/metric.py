"""The target and the value of a trigger, such that the autoscaler comes to the plan.

KEDA makes of them a metric of kind External with an AverageValue. At a count ``c`` the autoscaler
wants ``ceil(value / target)``, but leaves ``c`` as it is where ``value / (target * c)`` lies within
its tolerance of 1. From that follows:

* With a tolerance of 0 the plan's replicas at a target of 1 are exact, up and down.
* With a tolerance of 0.1 no value takes 20 replicas to 21: what rounds up to 21 lies within. So the
  least count outside is shown instead, 23: the autoscaler never rests below the plan, and goes
  past it only where the plan is a tenth or less above what runs. Far jumps are exact.
* Downwards the tolerance may leave up to ``plan / 0.9`` replicas. That is the autoscaler's own.

The target is written into the autoscaler when KEDA looks at the ScaledObject, the value is asked
for again and again. So a target must not move: what moves is put into the value.

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
# A float holds every thousandth up to there, and what KEDA makes of it does.
MOST = 10**15


class NotKnownError(ScalerError):
    """There is no value that may be acted on; why, in words."""


def target_milli(trigger: Trigger, view: ServiceView | None) -> int:
    """Return the target per replica; ``view`` is None before the first tick.

    Raises:
        TriggerError: the policy has no capacity that stands still.
        NotKnownError: it rests on the policy, and that is not known yet.
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
        NotKnownError: nothing is known, or what is known makes no sense.
    """
    decision = _known(view)
    if trigger.metric is TriggerMetric.REPLICAS:
        value = MILLI * shown_replicas(decision.plan.replicas, view.replicas, trigger.tolerance)
    else:
        value = _demand_milli(decision, view, target_milli(trigger, view))
    if not 0 < value <= MOST:
        raise NotKnownError(f"{view.item_id}: the value of {value / MILLI:g} is absurd")
    return value


def shown_replicas(plan: int, current: int | None, tolerance: float) -> int:
    """Return the replicas to show to an autoscaler that is to have at least ``plan``.

    Args:
        plan: replicas to have.
        current: that it counts now; None: unknown, so the worst is taken, one below the plan.
        tolerance: of the autoscaler on a scale-up.

    >>> [shown_replicas(plan, 20, 0.1) for plan in (19, 20, 21, 22, 23, 40)]
    [19, 20, 23, 23, 23, 40]
    >>> shown_replicas(21, 20, 0.0)
    21
    """
    stands = plan - 1 if current is None else current
    if not 0 < stands < plan:
        return plan
    # The billionth is for what floats make of 100 * 1.13: less than 113, which is within.
    return max(plan, math.floor(stands * (1 + tolerance) + 1e-9) + 1)


def is_active(trigger: Trigger, view: ServiceView, *, fresh: bool) -> bool:
    """Return whether the service must run; only known and fresh demand can say that it need not."""
    if trigger.activation_qps is None or not fresh:
        return True
    try:
        demand = _known(view).demand.qps
    except NotKnownError:
        return True
    return not demand <= trigger.activation_qps


def wire_float(milli: int) -> float:
    """Return the float that KEDA, which cuts off, reads as so many thousandths.

    >>> int(1.001 * 1000), int(wire_float(1001) * 1000)
    (1000, 1001)
    """
    value = milli / MILLI
    return value if int(value * MILLI) >= milli else math.nextafter(value, math.inf)


def wire_int(milli: int) -> int:
    """Return the whole number for who does not read floats: rounded up, so never too little."""
    return -(-milli // MILLI)


def _known(view: ServiceView) -> Decision:
    """Return the decision if it rests on something known.

    A plan is held for its lifetime when nothing more is known, but not one that was never made: it
    is what happened to stand in the cluster when we started. One that decays gives way to the
    autoscaler's other metrics, and here there may be none: it keeps what it has without a value.
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
    """Return the demand for which ``value / target`` rounds up to what the planner wants.

    It is the demand itself where the capacity is the policy's. If replicas are believed to sustain
    less, more is shown, for the target in the autoscaler stays.
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

"""The reasons of a decision in plain words: for the endpoint, a journal, and a policy's status.

Functions take a reason as its value, and a rate as it is to be printed. A reason that they do not
know, such as one of a newer version in a status, is printed as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from scaler.control.snapshot import ConditionReason

DEMAND_REASONS = {
    "forecast": "the forecast of the highest demand over the lead time",
    "observed": "the demand observed now, which is higher than the forecast",
    "held": "a share of what is usual, for what is observed is implausibly low at this time of day",
    "event": "an announced event",
    "reactive": "the demand observed now plus a margin, for no forecast is trusted",
    "unknown": "there is neither a forecast nor an observation",
}
PLAN_REASONS = {
    "wanted": "the demand needs that many",
    "needed_again": "fewer would do now, but they would soon be needed again",
    "stabilized": "more were wanted within the stabilization window",
    "step_up": "the policy allows no larger step up",
    "step_down": "the policy allows no larger step down",
    "min_replicas": "the policy's minimum",
    "max_replicas": "the policy's maximum",
    "held": "the demand is not known, so the last plan holds for its lifetime",
    "decayed": "the demand has not been known for long, so the plan decays to the user's own floor",
}
LIMIT_REASONS = {
    "capacity": "the ready replicas sustain that much",
    "overload": "the SLO is broken, so part of the capacity is held back",
    "ceiling": "the policy's ceiling",
    "nothing_ready": "no replica is ready",
}


def demand_sentence(qps: str | None, reason: str | None, more: str = "") -> str:
    """Return what to be ready for, and why.

    Args:
        qps: requests per second; None: not known.
        reason: None: not known.
        more: follows the reason.
    """
    if qps is None:
        return f"The demand to be ready for is not known{_because(reason, DEMAND_REASONS)}."
    return f"Be ready for {qps} requests per second{_because(reason, DEMAND_REASONS)}{more}."


def plan_sentence(replicas: int, reason: str | None, wanted: str = "") -> str:
    """Return what is planned, and why; ``wanted`` follows the replicas."""
    return f"The plan is {replicas} replicas{wanted}{_because(reason, PLAN_REASONS)}."


def floor_sentence(floor: int, plan: int | None, ready: str | None) -> str:
    """Return which floor stands, and why it is as it is beside the plan.

    Args:
        floor: the autoscaler's ``minReplicas``.
        plan: None: not known.
        ready: the reason of the condition Ready; where all is not well, its message says why.

    >>> floor_sentence(6, 7, "Recommending")
    'The floor that stands is 6 replicas: in mode Recommend it is left as it is.'
    """
    return f"The floor that stands is {floor} replicas{_floor_reason(floor, plan, ready)}."


def limit_sentence(qps: str, reason: str | None, more: str = "") -> str:
    """Return what gateways may admit, and what bounds it; ``more`` follows the reason."""
    return f"Gateways may admit {qps} requests per second{_because(reason, LIMIT_REASONS)}{more}."


def _floor_reason(floor: int, plan: int | None, ready: str | None) -> str:
    if ready == ConditionReason.RECOMMENDING:
        return ": in mode Recommend it is left as it is"
    if ready != ConditionReason.ENFORCING or plan is None:
        return ""
    if floor == plan:
        return ": it is the plan"
    if floor > plan:
        return ": it is the autoscaler's own, below which none is set"
    return ": the autoscaler's maxReplicas allows no more"


def _because(reason: str | None, words: Mapping[str, str]) -> str:
    return "" if reason is None else f": {words.get(reason, reason)}"

"""What a tick says of a policy's health, in the words of Kubernetes' conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from scaler.control.clock_offset import apart_text, is_apart
from scaler.control.observations import ServiceMetrics
from scaler.control.snapshot import Condition, ConditionReason, ServiceView, condition_for
from scaler.control.tick_result import TickResult
from scaler.decision.earned_trust import APART, AutoStanding, FloorEvidence
from scaler.decision.hold import IMPLAUSIBLE_SHARE, HoldRules, LowSpell, is_over
from scaler.decision.lead_time import MAX_LEAD_S, LeadTime, LeadTimeReason
from scaler.decision.plausible import DoubtedDemand
from scaler.decision.sequential_test import ALPHA
from scaler.decision.trust import Standing, Trust
from scaler.decision.wariness import DoubtReason
from scaler.limits.published_limit import PublishedLimit
from scaler.policy.policy import Policy


def data_fresh(policy: Policy, metrics: ServiceMetrics) -> Condition:
    """Return whether the demand is known now."""
    offset_s = metrics.clock_offset_s
    if offset_s is not None and is_apart(offset_s):
        message = f"{apart_text(offset_s)}: what it answers is not of now, and lowers nothing"
        return condition_for(ConditionReason.CLOCKS_APART, message)
    doubted = metrics.doubted
    if doubted is not None and doubted.reason is not DoubtReason.MARKED:
        return condition_for(ConditionReason.IMPLAUSIBLE, doubted.message)
    if metrics.fault is not None:
        return condition_for(ConditionReason.QUERY_FAILED, metrics.fault)
    if metrics.partial is not None:
        message = f"data is missing from the answer: {metrics.partial}; it lowers nothing"
        return condition_for(ConditionReason.PARTIAL_ANSWER, message)
    if math.isnan(metrics.observed_qps):
        return _not_observed(policy, doubted)
    return condition_for(ConditionReason.OBSERVED)


def _not_observed(policy: Policy, marked: DoubtedDemand | None) -> Condition:
    if marked is not None:
        return condition_for(ConditionReason.MARKED, marked.message)
    query = f"the query {policy.demand_query!r} has no sample now"
    return condition_for(ConditionReason.NO_SAMPLE, query)


def forecast_trusted(trust: Trust, why_none: str | None) -> Condition:
    """Return whether the forecast is acted on.

    Args:
        trust: in it.
        why_none: why there is no forecast; None: there is one.
    """
    if why_none is not None:
        return condition_for(ConditionReason.NO_FORECAST, why_none)
    if trust.standing is Standing.BENCHED:
        loss = f"its loss is {trust.skill:.1f} times that of the last value"
        return condition_for(ConditionReason.BENCHED, loss)
    reason = ConditionReason(trust.standing.value.title())
    return condition_for(reason)


def lead_time_covered(lead_time: LeadTime) -> Condition:
    """Return whether decisions look as far ahead as pods take to start."""
    if lead_time.reason is LeadTimeReason.BOUNDED:
        message = (
            f"pods take {lead_time.start_up_s:.0f} s to start, but decisions look "
            f"{MAX_LEAD_S:.0f} s ahead at most; look for slow image pulls, slow readiness probes "
            "and nodes that have to be provisioned"
        )
        return condition_for(ConditionReason.START_UP_TOO_LONG, message)
    return condition_for(ConditionReason(lead_time.reason.value.title()))


def limit_known(published: PublishedLimit | None) -> tuple[Condition, ...]:
    """Return why gateways are handed no limit, or none to enforce; nothing where they are."""
    if published is None:
        message = (
            "no limit is handed out before demand was observed once; "
            "gateways go on by the leases that they have"
        )
        return (condition_for(ConditionReason.NOTHING_OBSERVED, message),)
    if published.assumed:
        message = (
            "without a cluster nobody counts the replicas, so leases only recommend the limit; "
            "give the PromQL of the ready replicas as capacity.replicasQuery"
        )
        return (condition_for(ConditionReason.REPLICAS_ASSUMED, message),)
    return ()


def demand_usual(spell: LowSpell | None, rules: HoldRules, now: float) -> tuple[Condition, ...]:
    """Return what is said of demand that is implausibly low; nothing of any other."""
    if spell is None or not rules.share:
        return ()
    low = f"since {_moment(spell.since)} demand has been below {IMPLAUSIBLE_SHARE:.0%} of what is"
    low += " least usual at this time of day, or not yet back for long"
    if is_over(spell, rules, now):
        message = f"{low}; it was held for as long as demand.hold says, and is followed down"
        return (condition_for(ConditionReason.DEMAND_FOLLOWED, message),)
    until = _moment(spell.since + rules.for_s)
    message = f"{low}; {rules.share:.0%} of that is held until {until} at most (demand.hold)"
    return (condition_for(ConditionReason.DEMAND_HELD, message),)


def floor_earned(evidence: FloorEvidence) -> Condition:
    """Return what is known for and against a floor in mode Auto."""
    message = f"{earned_text(evidence)}; {_evidence_text(evidence)}"
    return condition_for(_EARNED[evidence.standing], message)


def earned_text(evidence: FloorEvidence) -> str:
    """Return what the evidence has come to, for a person."""
    return _EARNED_WORDS[evidence.standing]


_EARNED = {
    AutoStanding.ON_TRIAL: ConditionReason.ON_TRIAL,
    AutoStanding.EARNED: ConditionReason.EARNED,
    AutoStanding.COSTS_MORE: ConditionReason.COSTS_MORE,
    AutoStanding.BREAKS_MORE: ConditionReason.BREAKS_MORE,
    AutoStanding.VOID: ConditionReason.EVIDENCE_VOID,
}
_EARNED_WORDS = {
    AutoStanding.ON_TRIAL: "the floor is recommended until it is proved to save, and to keep the "
    "objective",
    AutoStanding.EARNED: "the floor is proved to save, so it is enforced; it saves as long as the "
    "autoscaler under it has what a replica sustains for its target",
    AutoStanding.COSTS_MORE: "the floor costs more than the autoscaler alone, so it is only "
    "recommended again; give the autoscaler its own target back",
    AutoStanding.BREAKS_MORE: "more is broken under the floor than the objective allows, so it is "
    "only recommended again; give the autoscaler its own target back",
    AutoStanding.VOID: "the simulated autoscaler differs from the real one by more than "
    f"{APART:.0%} of the pod-hours, so there is no evidence; give the real one's spec as spec.hpa",
}


def _evidence_text(evidence: FloorEvidence) -> str:
    against = "against it" if evidence.is_earned else "for it"
    return (
        f"after {evidence.days} days the evidence {against} is {evidence.cost.wealth:.3g} by cost "
        f"and {evidence.violations.wealth:.3g} by violations, of {1 / ALPHA:g}"
    )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def decided(result: TickResult, why_none: str | None, now: float) -> tuple[Condition, ...]:
    """Return what is said of a decision.

    Args:
        result: the decision, and what it rests on.
        why_none: why there is no forecast; None: there is one.
        now: seconds since the epoch.
    """
    return (
        forecast_trusted(result.trust, why_none),
        lead_time_covered(result.lead_time),
        *demand_usual(result.decision.state.low_spell, result.policy.hold, now),
        *limit_known(result.known_limit),
    )


def not_decided(error: str) -> Condition:
    """Return what is said of a policy that could not be decided on."""
    return condition_for(ConditionReason.NOT_DECIDED, error)


def undecided(policy: Policy, error: str, now: float, *known: Condition) -> ServiceView:
    """Return the view of a service that could not be decided on."""
    return ServiceView(policy=policy, at=now, error=error, conditions=(*known, not_decided(error)))


def not_taken_in(error: Exception) -> Condition:
    """Return what is said where something of ours failed over what the metrics say."""
    message = f"its metrics could not be taken in: {error!r}"
    return condition_for(ConditionReason.NOT_TAKEN_IN, message)


def not_applied(error: Exception) -> Condition:
    """Return what is said where something of ours failed over carrying a plan out."""
    message = f"its plan could not be carried out: {error!r}"
    return condition_for(ConditionReason.NOT_APPLIED, message)


def policy_invalid(faults: Sequence[str]) -> Condition:
    """Return what is said of a policy that is wrong; it acts as it was before."""
    return condition_for(ConditionReason.POLICY_INVALID, "; ".join(faults))


def spec_incomplete(warnings: Sequence[str]) -> tuple[Condition, ...]:
    """Return what is said of a policy some keys of which are not known; nothing of any other."""
    if not warnings:
        return ()
    return (condition_for(ConditionReason.KEYS_NOT_KNOWN, "; ".join(warnings)),)

"""What a tick publishes: one frozen view of every service, for the endpoint, the page and status.

Moments are seconds since the epoch; demand is in requests per second (QPS); unknown is NaN or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from forecaster.data.series import Block, FloatArray
from scaler.control.checkpoint import ServiceCheckpoint
from scaler.decision.decide import Decision
from scaler.decision.earned_trust import FloorEvidence
from scaler.decision.lead_time import LeadTime
from scaler.decision.review import Review
from scaler.decision.trust import Trust
from scaler.limits.published_limit import PublishedLimit
from scaler.policy.policy import Mode, Policy


class ConditionKind(StrEnum):
    """What a DemandPolicy's status tells; each is True when all is well, but FloorContested."""

    READY = "Ready"
    FORECAST_TRUSTED = "ForecastTrusted"
    FLOOR_CONTESTED = "FloorContested"
    DATA_FRESH = "DataFresh"
    LEAD_TIME_COVERED = "LeadTimeCovered"
    PLAN_FITS = "PlanFits"  # told only where it is False
    SPEC_COMPLETE = "SpecComplete"  # told only where it is False
    LIMIT_KNOWN = "LimitKnown"  # told only where it is False
    DEMAND_USUAL = "DemandUsual"  # told only where it is False
    FLOOR_EARNED = "FloorEarned"  # told only in mode Auto


class ConditionReason(StrEnum):
    """Why a condition has its status; each reason belongs to one kind and one status."""

    # Ready
    ENFORCING = "Enforcing"
    RECOMMENDING = "Recommending"
    NOT_DECIDED = "NotDecided"  # the message says why
    NOT_APPLIED = "NotApplied"  # something of ours failed over carrying the plan out
    POLICY_INVALID = "PolicyInvalid"  # it acts as it was before
    POLICY_GONE = "PolicyGone"
    CLUSTER_FAILED = "ClusterFailed"  # a call to the API server failed
    AUTOSCALER_MISSING = "AutoscalerMissing"
    AUTOSCALER_INVALID = "AutoscalerInvalid"
    OWNED_BY_KEDA = "OwnedByKEDA"
    TARGET_TAKEN = "TargetTaken"  # another policy owns the floor
    SCALED_TO_ZERO_BY_USER = "ScaledToZeroByUser"  # so it stays there
    CONTESTED = "FloorContested"  # somebody else's floor stands
    RESTORED_BY_USER = "RestoredByUser"  # and left alone for a while
    # ForecastTrusted
    TRUSTED = "Trusted"
    WIDENED = "Widened"
    BENCHED = "Benched"
    NO_FORECAST = "NoForecast"
    # FloorContested
    REVERTED = "Reverted"
    # DataFresh
    OBSERVED = "Observed"
    MARKED = "Marked"  # by the policy's query of masks, as it is meant to
    QUERY_FAILED = "QueryFailed"
    NO_SAMPLE = "NoSample"
    CLOCKS_APART = "ClocksApart"  # so what is answered is not of now
    PARTIAL_ANSWER = "PartialAnswer"  # the server says that data is missing from its answer
    IMPLAUSIBLE = "Implausible"  # what is measured cannot be what is offered
    NOT_TAKEN_IN = "NotTakenIn"  # something of ours failed over what the metrics say
    # LeadTimeCovered
    GIVEN = "Given"
    DEFAULT = "Default"
    LEARNED = "Learned"
    START_UP_TOO_LONG = "StartUpTooLong"
    # PlanFits
    ABOVE_MAX_REPLICAS = "AboveMaxReplicas"
    # SpecComplete
    KEYS_NOT_KNOWN = "KeysNotKnown"
    # LimitKnown
    NOTHING_OBSERVED = "NothingObserved"  # since this process looks at the policy
    REPLICAS_ASSUMED = "ReplicasAssumed"  # without a cluster nobody counts them
    # DemandUsual
    DEMAND_HELD = "DemandHeld"  # it is implausibly low for the time of day
    DEMAND_FOLLOWED = "DemandFollowed"  # and has been for longer than it is held
    # FloorEarned
    EARNED = "Earned"  # so it is enforced
    ON_TRIAL = "OnTrial"
    COSTS_MORE = "CostsMore"  # it was earned, and taken back
    BREAKS_MORE = "BreaksMore"  # the same
    EVIDENCE_VOID = "EvidenceVoid"  # the simulated autoscaler is not the one that runs


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, as Kubernetes has them; ``message`` is for a person."""

    kind: ConditionKind
    status: bool
    reason: ConditionReason
    message: str = ""


_READY, _FORECAST, _DATA, _LEAD_TIME = (
    ConditionKind.READY,
    ConditionKind.FORECAST_TRUSTED,
    ConditionKind.DATA_FRESH,
    ConditionKind.LEAD_TIME_COVERED,
)
_MEANS: Mapping[ConditionReason, tuple[ConditionKind, bool]] = {
    ConditionReason.ENFORCING: (_READY, True),
    ConditionReason.RECOMMENDING: (_READY, True),
    ConditionReason.NOT_DECIDED: (_READY, False),
    ConditionReason.NOT_APPLIED: (_READY, False),
    ConditionReason.POLICY_INVALID: (_READY, False),
    ConditionReason.POLICY_GONE: (_READY, False),
    ConditionReason.CLUSTER_FAILED: (_READY, False),
    ConditionReason.AUTOSCALER_MISSING: (_READY, False),
    ConditionReason.AUTOSCALER_INVALID: (_READY, False),
    ConditionReason.OWNED_BY_KEDA: (_READY, False),
    ConditionReason.TARGET_TAKEN: (_READY, False),
    ConditionReason.SCALED_TO_ZERO_BY_USER: (_READY, False),
    ConditionReason.CONTESTED: (_READY, False),
    ConditionReason.RESTORED_BY_USER: (_READY, False),
    ConditionReason.TRUSTED: (_FORECAST, True),
    ConditionReason.WIDENED: (_FORECAST, True),
    ConditionReason.BENCHED: (_FORECAST, False),
    ConditionReason.NO_FORECAST: (_FORECAST, False),
    ConditionReason.REVERTED: (ConditionKind.FLOOR_CONTESTED, True),
    ConditionReason.OBSERVED: (_DATA, True),
    ConditionReason.MARKED: (_DATA, True),
    ConditionReason.QUERY_FAILED: (_DATA, False),
    ConditionReason.NO_SAMPLE: (_DATA, False),
    ConditionReason.CLOCKS_APART: (_DATA, False),
    ConditionReason.PARTIAL_ANSWER: (_DATA, False),
    ConditionReason.IMPLAUSIBLE: (_DATA, False),
    ConditionReason.NOT_TAKEN_IN: (_DATA, False),
    ConditionReason.GIVEN: (_LEAD_TIME, True),
    ConditionReason.DEFAULT: (_LEAD_TIME, True),
    ConditionReason.LEARNED: (_LEAD_TIME, True),
    ConditionReason.START_UP_TOO_LONG: (_LEAD_TIME, False),
    ConditionReason.ABOVE_MAX_REPLICAS: (ConditionKind.PLAN_FITS, False),
    ConditionReason.KEYS_NOT_KNOWN: (ConditionKind.SPEC_COMPLETE, False),
    ConditionReason.NOTHING_OBSERVED: (ConditionKind.LIMIT_KNOWN, False),
    ConditionReason.REPLICAS_ASSUMED: (ConditionKind.LIMIT_KNOWN, False),
    ConditionReason.DEMAND_HELD: (ConditionKind.DEMAND_USUAL, False),
    ConditionReason.DEMAND_FOLLOWED: (ConditionKind.DEMAND_USUAL, False),
    ConditionReason.EARNED: (ConditionKind.FLOOR_EARNED, True),
    ConditionReason.ON_TRIAL: (ConditionKind.FLOOR_EARNED, False),
    ConditionReason.COSTS_MORE: (ConditionKind.FLOOR_EARNED, False),
    ConditionReason.BREAKS_MORE: (ConditionKind.FLOOR_EARNED, False),
    ConditionReason.EVIDENCE_VOID: (ConditionKind.FLOOR_EARNED, False),
}


def condition_for(reason: ConditionReason, message: str = "") -> Condition:
    """Return the condition that a reason belongs to."""
    return Condition(*_MEANS[reason], reason, message)


def with_condition(conditions: tuple[Condition, ...], newer: Condition) -> tuple[Condition, ...]:
    """Return conditions with a newer one in the place of the one of its kind: each has but one."""
    return (*(one for one in conditions if one.kind is not newer.kind), newer)


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """What came of carrying one plan out.

    Attributes:
        conditions: that say so.
        floor: that stands in the cluster now; None: what was observed still holds.
    """

    conditions: tuple[Condition, ...] = ()
    floor: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class PublishedForecast:
    """The latest forecast of one item: ``values`` are ``(steps, levels)`` QPS.

    Step ``h`` is the mean up to ``origin + (h+1) * step_s``.
    """

    origin: float
    step_s: float
    levels: tuple[float, ...]
    values: FloatArray = field(repr=False)
    source: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class RecentTicks:
    """What was observed of late: ``stamps`` (seconds) ascending, ``qps``, ``replicas``, ``floor``.

    NaN is unknown. ``floor`` stood, ``plan`` was asked for, ``hpa`` a plain HPA would have had.
    """

    stamps: FloatArray = field(repr=False)
    qps: Block = field(repr=False)
    replicas: Block = field(repr=False)
    floor: Block = field(repr=False)
    plan: Block = field(repr=False)
    hpa: Block = field(repr=False)
    limit: Block = field(repr=False)


@dataclass(frozen=True, slots=True)
class CostLedger:
    """What tidegate's replicas cost beside those of a plain HPA, since it runs.

    Attributes:
        seconds: that were counted.
        replica_hours: of the replicas there were; hpa_replica_hours: of those a plain HPA would
            have had.
        short_s: seconds in which the ready replicas could not serve what was offered;
            hpa_short_s: in which a plain HPA's could not.
    """

    seconds: float = 0.0
    replica_hours: float = 0.0
    hpa_replica_hours: float = 0.0
    short_s: float = 0.0
    hpa_short_s: float = 0.0


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ServiceView:
    """One service after a tick; a part that could not be worked out is None.

    ``floor`` is the autoscaler's that stands, whoever has written it; the plan is what is asked
    for. ``error`` says why a policy was not decided on; ``checkpoint`` outlives this process. The
    mode of ``policy`` is the one that is acted by: in mode Auto as ``evidence`` says, and
    ``turned`` tells once that it has changed; its settings are those that ``review`` chose.
    """

    policy: Policy
    at: float
    replicas: int | None = None
    floor: int | None = None
    ready: int | None = None
    observed_qps: float | None = None
    hpa_replicas: int | None = None
    decision: Decision | None = None
    published_limit: PublishedLimit | None = None
    forecast: PublishedForecast | None = None
    trust: Trust | None = None
    lead_time: LeadTime | None = None
    recent: RecentTicks | None = None
    ledger: CostLedger = field(default_factory=CostLedger)
    conditions: tuple[Condition, ...] = ()
    error: str | None = None
    checkpoint: ServiceCheckpoint | None = None
    evidence: FloorEvidence | None = None
    turned: bool = False
    review: Review | None = None

    @property
    def item_id(self) -> str:
        return self.policy.item_id

    @property
    def lease_mode(self) -> Mode:
        """How gateways act on the limit: nobody is refused for replicas that nobody counts."""
        assumed = self.published_limit is not None and self.published_limit.assumed
        return Mode.RECOMMEND if assumed else self.policy.mode

    def told(self, outcome: PlanOutcome | None) -> ServiceView:
        """Return the view with what came of its plan; None: nothing was done."""
        if outcome is None:
            return self
        conditions = self.conditions
        for one in outcome.conditions:
            conditions = with_condition(conditions, one)
        floor = self.floor if outcome.floor is None else outcome.floor
        return replace(self, conditions=conditions, floor=floor)


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """All services after one tick.

    Attributes:
        tick: counts up from 0, which is before the first.
        at: when it began; NaN before the first.
        seconds: that it took.
        leader: whether this replica acts, or serves what the leader published.
        set_by_s: how far the wall clock has been set since the tick before.
        clock_offset_s: by how much it is ahead of Prometheus'; None: not known.
    """

    tick: int
    at: float
    services: Mapping[str, ServiceView]
    seconds: float = 0.0
    leader: bool = True
    set_by_s: float = 0.0
    clock_offset_s: float | None = None

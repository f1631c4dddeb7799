"""A policy file as pydantic reads it: the shape of a `DemandPolicy`, and the rules across its keys.

Rules of this file: a key's rule may look only at keys above it, so that every fault of a file is
found at once; models turn into the frozen values of the core and go no further. The docstrings of
keys are what `kubectl explain` says of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from scaler.decision.limit import WARM_AT_ONCE, Ramp
from scaler.decision.replicas import ScalePolicy
from scaler.decision.trust import TrustRules
from scaler.policy.fields import (
    Above,
    AtLeastOne,
    AtLeastZero,
    Duration,
    Label,
    ObjectName,
    OpenShare,
    PositiveDuration,
    PositiveShare,
    Section,
    Share,
    Text,
    refuse,
)
from scaler.policy.policy import Mode, Policy, Slo
from scaler.policy.replay_settings import ReplaySettings, WorldTiming
from scaler.policy.schema_demand import DemandSection
from scaler.policy.schema_hpa import HPASection
from scaler.policy.schema_limit import LimitSection

API_VERSION = "tidegate.dev/v1alpha1"
KIND = "DemandPolicy"

_SCALE, _SLO, _REPLAY = ScalePolicy(), Slo(), ReplaySettings()
# What the API server adds to an object: `kubectl get -o yaml` prints it, nobody writes it.
_SERVERS_OWN = frozenset(
    {
        *("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers"),
        *("generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"),
    }
)


class Metadata(Section):
    namespace: Label
    name: ObjectName
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, data: object) -> object:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key not in _SERVERS_OWN}
        return data


class TargetRef(Section):
    kind: Literal["HorizontalPodAutoscaler"] = "HorizontalPodAutoscaler"
    name: ObjectName


class SloSection(Section):
    latency: PositiveDuration = _SLO.latency_s
    """Within which a request is answered."""
    objective: OpenShare = _SLO.objective
    """Share of the requests that this is promised for."""
    query: Text
    """PromQL of the latency in seconds; without it nobody knows whether the SLO is kept."""

    def to_slo(self) -> Slo:
        return Slo(self.latency, self.objective, self.query)


class ReplicasSection(Section):
    min: AtLeastOne = _SCALE.min_replicas
    """The floor that the plan never goes below."""
    max: AtLeastOne
    """The ceiling that the plan never goes above."""
    lead_time: Duration | None = None
    """Until a replica that is asked for now is warm; learned where it is not given."""
    payback: Duration = 90.0
    """Beyond that, until a new replica has paid for its start."""
    stabilization: Duration = _SCALE.stabilization_s
    """How long the highest wish of late holds the plan up."""
    max_step_up: AtLeastOne | None = None
    """Replicas that one plan may add."""
    max_step_down: AtLeastOne | None = None
    """Replicas that one plan may remove."""
    lifetime: Duration = _SCALE.lifetime_s
    """How long the last plan holds while nothing is known of the demand."""
    half_life: Duration = _SCALE.half_life_s
    """After that: in which it goes half way down to min."""

    @field_validator("max")
    @classmethod
    def _bounds(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min", 1):
            raise ValueError(f"must be at least min, which is {info.data['min']}; swap the two?")
        return value

    def to_scale(self, target_utilization: float) -> ScalePolicy:
        return ScalePolicy(
            self.min,
            self.max,
            target_utilization,
            self.stabilization,
            self.max_step_up,
            self.max_step_down,
            self.lifetime,
            self.half_life,
        )


class CapacitySection(Section):
    requests_per_replica: Above | None = None
    """Requests per second that one warm replica sustains within the SLO; else it is learned."""
    replicas_query: Text | None = None
    """PromQL of the ready replicas, so that it is learned from the past at once."""
    target_utilization: PositiveShare = _SCALE.target_utilization
    """Share of that which is planned with."""
    warm_up: Duration = 0.0
    """Time that a ready replica takes until it sustains all of that."""
    cold_share: Share = _REPLAY.ramp_initial
    """What a replica sustains when it has just become ready, as a share of a warm one."""

    def to_ramp(self) -> Ramp:
        return Ramp(self.warm_up, self.cold_share) if self.warm_up else WARM_AT_ONCE


class SimulationSection(Section):
    start_up: Duration = _REPLAY.start_up_s
    """Median time from a replica's creation until it is ready."""
    start_up_spread: AtLeastZero = _REPLAY.start_up_spread
    """Standard deviation of the logarithm of that time."""
    ramp: Duration = _REPLAY.ramp_s
    """Time that a ready replica takes to become warm."""
    ramp_initial: Share = _REPLAY.ramp_initial
    """What it serves at first, as a share of a warm one."""
    service_time: PositiveDuration | None = None
    """Mean time of a request that does not wait; a tenth of the SLO's latency if not given."""
    concurrency: AtLeastOne = _REPLAY.workers
    """Requests that one replica serves at once."""
    timeout: PositiveDuration = _REPLAY.timeout_s
    """How long a client waits."""
    retry_share: Share = _REPLAY.retry_share
    """Share of the clients that gave up which try again."""
    collapse: AtLeastZero = _REPLAY.collapse
    """How much goodput falls per unit of overload; 0 for none."""
    tick: PositiveDuration = _REPLAY.timing.tick_s
    """Time between two decisions, and between two syncs of the autoscaler."""
    scrape_interval: PositiveDuration = _REPLAY.timing.scrape_s
    """Time between two scrapes of a replica's metrics."""
    rate_window: PositiveDuration = _REPLAY.timing.rate_window_s
    """Window over which the demand query averages, such as 1m in rate(...[1m])."""
    query_delay: Duration = _REPLAY.timing.query_delay_s
    """From a scrape until queries see it."""
    watch_lag: Duration = _REPLAY.timing.watch_lag_s
    """From a change of a pod until it is seen."""

    def to_settings(self, hpa: HPASection | None) -> ReplaySettings:
        return ReplaySettings(
            hpa=hpa.to_spec() if hpa else None,
            timing=WorldTiming(
                self.tick,
                self.scrape_interval,
                self.rate_window,
                self.query_delay,
                self.watch_lag,
            ),
            service_time_s=self.service_time,
            workers=self.concurrency,
            timeout_s=self.timeout,
            retry_share=self.retry_share,
            collapse=self.collapse,
            start_up_s=self.start_up,
            start_up_spread=self.start_up_spread,
            ramp_s=self.ramp,
            ramp_initial=self.ramp_initial,
        )


class Spec(Section):
    mode: Literal["Recommend", "Enforce"] = "Recommend"
    """Recommend writes nothing but status and metrics; Enforce moves the autoscaler's floor."""
    target_ref: TargetRef | None = None
    """The autoscaler whose floor is moved; the one of the policy's own name if not given."""
    demand: DemandSection = DemandSection()
    """What is asked of the service."""
    slo: SloSection | None = None
    """What is promised to its clients."""
    replicas: ReplicasSection
    """What a plan may do."""
    capacity: Annotated[CapacitySection, Field(validate_default=True)] = CapacitySection()
    """What one replica sustains."""
    limit: LimitSection = LimitSection()
    """What gateways may admit."""
    hpa: HPASection | None = None
    """The autoscaler that a replay compares with: its `autoscaling/v2` spec."""
    simulation: SimulationSection = SimulationSection()
    """How a replay models the service."""

    @field_validator("capacity")
    @classmethod
    def _capacity_is_known(cls, value: CapacitySection, info: ValidationInfo) -> CapacitySection:
        if value.requests_per_replica is None and info.data.get("slo", value) is None:
            rule = (
                "is missing, and there is no spec.slo.query to learn it from; give one of the two"
            )
            refuse([rule], at=("requestsPerReplica",))
        return value

    @field_validator("limit")
    @classmethod
    def _guarantees_can_be_kept(cls, value: LimitSection, info: ValidationInfo) -> LimitSection:
        capacity, replicas = info.data.get("capacity"), info.data.get("replicas")
        if capacity and replicas and capacity.requests_per_replica is not None:
            value.fit(capacity.requests_per_replica, replicas.max)
        return value

    @field_validator("simulation")
    @classmethod
    def _slo_can_be_kept(cls, value: SimulationSection, info: ValidationInfo) -> SimulationSection:
        if value.service_time is not None and "slo" in info.data:
            slo = info.data["slo"].to_slo() if info.data["slo"] else _SLO
            try:
                value.to_settings(None).service_model(slo, 1.0)
            except ValueError:
                rule = (
                    "must be so short that an idle replica keeps the SLO, which is "
                    f"{slo.objective:g} of the requests within {slo.latency_s:g}s; a tenth of that "
                    "latency is usual"
                )
                refuse([rule], at=("serviceTime",))
        return value


class DemandPolicy(Section):
    api_version: Literal["tidegate.dev/v1alpha1"]
    kind: Literal["DemandPolicy"]
    metadata: Metadata
    spec: Spec

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, data: object) -> object:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key != "status"}
        return data

    def to_policy(self) -> Policy:
        spec, name = self.spec, self.metadata.name
        capacity = spec.capacity
        return Policy(
            item_id=f"{self.metadata.namespace}/{name}",
            target=spec.target_ref.name if spec.target_ref else name,
            mode=Mode(spec.mode),
            demand_query=spec.demand.query,
            model=spec.demand.model,
            trust=TrustRules(risk=spec.demand.risk),
            events=tuple(event.to_event() for event in spec.demand.events),
            slo=spec.slo.to_slo() if spec.slo else Slo(),
            capacity_qps=capacity.requests_per_replica,
            replicas_query=capacity.replicas_query,
            scale=spec.replicas.to_scale(capacity.target_utilization),
            ramp=capacity.to_ramp(),
            lead_s=spec.replicas.lead_time,
            payback_s=spec.replicas.payback,
            limit=spec.limit.to_policy(),
            safe_qps=spec.limit.safe_requests_per_second,
            classes=tuple(one.to_class() for one in spec.limit.classes),
            clients=spec.limit.per_client.to_policy(),
        )

    def to_settings(self) -> ReplaySettings:
        return self.spec.simulation.to_settings(self.spec.hpa)

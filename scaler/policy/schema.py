"""The pydantic model of a policy file: the keys of a `DemandPolicy`, and rules across them.

Rules of this file: a key's validator may use only keys above it, so that every fault of a file is
found at once. Models are converted to the frozen values of the core and go no further. The
docstrings of keys are shown by `kubectl explain`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from scaler.decision.limit import WARM_AT_ONCE, Ramp
from scaler.decision.replicas import ScalePolicy
from scaler.decision.trust import TrustRules
from scaler.hpa.rules import HPASpec
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
    without_null,
)
from scaler.policy.policy import Mode, Policy, Slo
from scaler.policy.replay_settings import ReplaySettings, WorldTiming
from scaler.policy.schema_demand import DemandSection
from scaler.policy.schema_hpa import HPASection
from scaler.policy.schema_limit import LimitSection

API_VERSION = "tidegate.dev/v1alpha1"
KIND = "DemandPolicy"

_SCALE, _SLO, _REPLAY = ScalePolicy(), Slo(), ReplaySettings()
# Metadata that the API server adds to an object and `kubectl get -o yaml` prints; it is ignored.
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
    """Latency within which a request must be answered."""
    objective: OpenShare = _SLO.objective
    """Share of the requests that must be answered within the latency."""
    query: Text
    """PromQL of the latency in seconds at that quantile."""

    def to_slo(self) -> Slo:
        return Slo(self.latency, self.objective, self.query)


class ReplicasSection(Section):
    min: AtLeastOne = _SCALE.min_replicas
    """Lower bound of the plan."""
    max: AtLeastOne
    """Upper bound of the plan."""
    lead_time: Duration | None = None
    """Time from the request for a replica until it is warm; learned if not given."""
    payback: Duration = 90.0
    """Time after that within which a new replica must be needed to pay for its start."""
    stabilization: Duration = _SCALE.stabilization_s
    """Window within which the highest number of replicas wanted holds back a scale-down."""
    max_step_up: AtLeastOne | None = None
    """Replicas that one plan may add."""
    max_step_down: AtLeastOne | None = None
    """Replicas that one plan may remove."""
    lifetime: Duration = _SCALE.lifetime_s
    """How long the last plan holds while the demand is unknown."""
    half_life: Duration = _SCALE.half_life_s
    """After that, time in which the plan's excess over min halves."""
    wake: bool = False
    """Whether a workload that somebody has scaled to 0 replicas is scaled up again; one that its
    autoscaler has put to sleep always is."""

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
    """Requests per second that one warm replica sustains within the SLO; learned if not given."""
    replicas_query: Text | None = None
    """PromQL of the ready replicas: the capacity is learned from their past, and without a cluster
    they are counted by it."""
    target_utilization: PositiveShare = _SCALE.target_utilization
    """Share of the capacity that a plan uses."""
    warm_up: Duration = 0.0
    """Time that a ready replica takes until it sustains all of its capacity."""
    cold_share: Share = _REPLAY.ramp_initial
    """Share of its capacity that a replica sustains when it has just become ready."""

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
    """Capacity of a replica that has just become ready, as a share of a warm one's."""
    service_time: PositiveDuration | None = None
    """Mean time of a request that does not wait; a tenth of the SLO's latency if not given."""
    concurrency: AtLeastOne = _REPLAY.workers
    """Requests that one replica serves at once."""
    timeout: PositiveDuration = _REPLAY.timeout_s
    """How long a client waits."""
    retry_share: Share = _REPLAY.retry_share
    """Share of the clients that timed out which retry."""
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

    def to_settings(self, hpa: HPASpec | None) -> ReplaySettings:
        return ReplaySettings(
            hpa=hpa,
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
    mode: Literal["Recommend", "Enforce", "Auto"] = "Recommend"
    """Enforce writes the autoscaler's floor, Recommend does not; Auto once it is proved to save."""
    target_ref: TargetRef | None = None
    """The autoscaler whose floor is written; the one with the policy's name if not given."""
    demand: DemandSection = DemandSection()
    """The demand on the service: its query, its forecast and announced events."""
    slo: SloSection | None = None
    """The service level objective."""
    replicas: ReplicasSection
    """Bounds and step sizes of a plan."""
    capacity: Annotated[CapacitySection, Field(validate_default=True)] = CapacitySection()
    """The capacity of one replica."""
    limit: LimitSection = LimitSection()
    """The limit that gateways enforce."""
    hpa: HPASection | None = None
    """The autoscaler that a replay and the page compare with: its `autoscaling/v2` spec."""
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
    def _slo_can_be_met(cls, value: SimulationSection, info: ValidationInfo) -> SimulationSection:
        if value.service_time is not None and "slo" in info.data:
            slo = info.data["slo"].to_slo() if info.data["slo"] else _SLO
            try:
                value.to_settings(None).service_model(slo, 1.0)
            except ValueError:
                rule = (
                    "must be so short that an idle replica meets the SLO, which is "
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
            spec = {"spec": without_null(data["spec"])} if "spec" in data else {}
            return {key: value for key, value in data.items() if key != "status"} | spec
        return data

    def to_policy(self) -> Policy:
        spec, name = self.spec, self.metadata.name
        capacity = spec.capacity
        return Policy(
            item_id=f"{self.metadata.namespace}/{name}",
            target=spec.target_ref.name if spec.target_ref else name,
            mode=Mode(spec.mode),
            demand_query=spec.demand.query,
            mask_query=spec.demand.mask_query,
            timezone=spec.demand.timezone,
            model=spec.demand.model,
            trust=TrustRules(risk=spec.demand.risk),
            hold=spec.demand.hold.to_rules(),
            events=tuple(event.to_event() for event in spec.demand.events),
            slo=spec.slo.to_slo() if spec.slo else Slo(),
            capacity_qps=capacity.requests_per_replica,
            replicas_query=capacity.replicas_query,
            scale=spec.replicas.to_scale(capacity.target_utilization),
            ramp=capacity.to_ramp(),
            lead_s=spec.replicas.lead_time,
            payback_s=spec.replicas.payback,
            wake=spec.replicas.wake,
            limit=spec.limit.to_policy(),
            safe_qps=spec.limit.safe_requests_per_second,
            lease=spec.limit.to_terms(),
            classes=spec.limit.to_classes(),
            client_window_s=spec.limit.per_client.window,
        )

    def to_settings(self) -> ReplaySettings:
        return self.spec.simulation.to_settings(self.to_hpa())

    def to_hpa(self) -> HPASpec | None:
        """Return the autoscaler to compare with; None: none is given."""
        spec = self.spec
        return spec.hpa.to_spec(spec.capacity.requests_per_replica) if spec.hpa else None

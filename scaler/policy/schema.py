"""The pydantic model of a policy file: the keys of a `DemandPolicy`, and rules across them.

Rules of this file: a key's validator may use only keys above it, so that every fault of a file is
found at once. Models are converted to the frozen values of the core and go no further. The
docstrings of keys are shown by `kubectl explain`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from scaler.decision.objective import Overrides
from scaler.decision.trust import TrustRules
from scaler.hpa.rules import HPASpec
from scaler.policy.fields import (
    AtLeastOne,
    AtLeastZero,
    Duration,
    Label,
    ObjectName,
    OpenShare,
    PositiveDuration,
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
from scaler.policy.schema_objective import ObjectiveSection
from scaler.policy.schema_replicas import CapacitySection, CostSection, ReplicasSection

API_VERSION = "tidegate.dev/v1alpha1"
KIND = "DemandPolicy"

_SLO, _REPLAY = Slo(), ReplaySettings()
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
    cost: CostSection | None = None
    """The cost of a replica: savings are told in money by it."""
    objective: ObjectiveSection | None = None
    """What demand.risk, capacity.targetUtilization and replicas.stabilization are chosen by where
    they are not given."""
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

    @field_validator("objective")
    @classmethod
    def _something_is_left(
        cls, value: ObjectiveSection | None, info: ValidationInfo
    ) -> ObjectiveSection | None:
        sections = ("demand", "capacity", "replicas")
        known = value is not None and all(name in info.data for name in sections)
        if known and _overrides(*(info.data[name] for name in sections)).is_complete:
            raise ValueError(
                "must not be given beside demand.risk, capacity.targetUtilization and "
                "replicas.stabilization, which leave nothing to choose; leave out one of these"
            )
        return value

    @property
    def overrides(self) -> Overrides:
        """The settings that the policy states."""
        return _overrides(self.demand, self.capacity, self.replicas)


def _overrides(
    demand: DemandSection, capacity: CapacitySection, replicas: ReplicasSection
) -> Overrides:
    stated = (
        getattr(section, name) if name in section.model_fields_set else None
        for section, name in (
            (demand, "risk"), (capacity, "target_utilization"), (replicas, "stabilization")
        )
    )  # fmt: skip
    return Overrides(*stated)


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
        capacity, slo = spec.capacity, spec.slo.to_slo() if spec.slo else Slo()
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
            events=tuple(one.to_event() for one in spec.demand.events if one.recurs is None),
            recurring=tuple(one.to_recurring() for one in spec.demand.events if one.recurs),
            slo=slo,
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
            price=spec.cost.to_price() if spec.cost else None,
            objective=spec.objective.to_objective(slo) if spec.objective else None,
            overrides=spec.overrides,
        )

    def to_settings(self) -> ReplaySettings:
        return self.spec.simulation.to_settings(self.to_hpa())

    def to_hpa(self) -> HPASpec | None:
        """Return the autoscaler to compare with; None: none is given."""
        spec = self.spec
        return spec.hpa.to_spec(spec.capacity.requests_per_replica) if spec.hpa else None

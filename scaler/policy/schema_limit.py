"""The `limit` section of a policy file: the limit, priority classes and limits per client."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from scaler.decision.limit import LimitPolicy
from scaler.limits.client_limits import ClientPolicy
from scaler.limits.lease import AfterSafe
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.fields import (
    Above,
    AtLeastOne,
    AtLeastZero,
    Duration,
    Label,
    PositiveDuration,
    PositiveShare,
    Section,
    Share,
    duplicate_names,
    refuse,
)

_LIMIT, _CLIENTS = LimitPolicy(), ClientPolicy()


class ClassSection(Section):
    name: Label
    """Name of the class in gateways."""
    priority: Annotated[int, Field(ge=0)]
    """0 is served first; classes of equal priority share fairly."""
    guaranteed: AtLeastZero = 0.0
    """Requests per second that are reserved for the class, even while it is idle."""
    ceiling: AtLeastZero | None = None
    """Upper bound of the class in requests per second."""
    on_expiry: Literal["Open", "Closed"] = "Open"
    """Whether a gateway admits all or none of the class when its lease has expired."""

    @field_validator("ceiling")
    @classmethod
    def _above_guarantee(cls, value: float | None, info: ValidationInfo) -> float | None:
        guaranteed = info.data.get("guaranteed", 0.0)
        if value is not None and value < guaranteed:
            raise ValueError(f"must be at least guaranteed, which is {guaranteed:g}")
        return value

    def to_class(self) -> PriorityClass:
        then = AfterSafe(self.on_expiry.lower())
        return PriorityClass(self.name, self.priority, self.guaranteed, self.ceiling, then)


class PerClientSection(Section):
    window: PositiveDuration = _CLIENTS.window_s
    """Window over which the rate of each client is counted."""
    deviations: Annotated[float, Field(gt=0, le=10)] = _CLIENTS.deviations
    """Standard deviations above the median client, on a log scale, that are still normal."""
    least_ratio: Annotated[float, Field(ge=1)] = _CLIENTS.least_ratio
    """A rate up to this many times the median client's is always normal."""
    least_clients: AtLeastOne = _CLIENTS.least_clients
    """With fewer active clients, none counts as abusive."""
    abusive_share: Share = _CLIENTS.abusive_share
    """Rate left to an abusive client, as a share of the median client's rate."""

    def to_policy(self) -> ClientPolicy:
        return ClientPolicy(
            self.window, self.deviations, self.least_ratio, self.least_clients, self.abusive_share
        )


class LimitSection(Section):
    headroom: PositiveShare = _LIMIT.headroom
    """Share of the ready capacity that gateways may admit."""
    ceiling_requests_per_second: Above | None = None
    """Upper bound of the limit, whatever the ready capacity."""
    safe_requests_per_second: AtLeastZero | None = None
    """Limit of gateways that cannot reach tidegate for long; derived if not given."""
    burst: Duration = _LIMIT.burst_s
    """Size of a burst, as a length of time at the limit."""
    classes: list[ClassSection] = Field(default=[])
    """Priority classes of requests."""
    per_client: PerClientSection = PerClientSection()
    """When a client counts as abusive."""

    @field_validator("safe_requests_per_second")
    @classmethod
    def _safe_is_allowed(cls, value: float | None, info: ValidationInfo) -> float | None:
        ceiling = info.data.get("ceiling_requests_per_second")
        if value is not None and ceiling is not None and value > ceiling:
            raise ValueError(f"must be at most ceilingRequestsPerSecond, which is {ceiling:g}")
        return value

    @field_validator("classes")
    @classmethod
    def _classes_agree(
        cls, classes: list[ClassSection], info: ValidationInfo
    ) -> list[ClassSection]:
        ceiling = info.data.get("ceiling_requests_per_second")
        rules = list(duplicate_names(one.name for one in classes))
        if ceiling is not None and _guaranteed(classes) > ceiling:
            rules.append(
                f"must not guarantee more than ceilingRequestsPerSecond, which is {ceiling:g}: "
                f"{_sum(classes)}; lower the guarantees"
            )
        refuse(rules)
        return classes

    def fit(self, capacity_qps: float, max_replicas: int) -> None:
        """Refuse guarantees that exceed the limit of the largest number of replicas."""
        max_qps = capacity_qps * max_replicas * self.headroom
        if _guaranteed(self.classes) > max_qps:
            rule = (
                f"must not guarantee more than the highest possible limit, which is {max_qps:g} "
                f"({max_replicas} replicas x {capacity_qps:g} x headroom {self.headroom:g}): "
                f"{_sum(self.classes)}; lower the guarantees, or raise spec.replicas.max"
            )
            refuse([rule], at=("classes",))

    def to_policy(self) -> LimitPolicy:
        ceiling = self.ceiling_requests_per_second
        if ceiling is None:
            return LimitPolicy(self.headroom, burst_s=self.burst)
        return LimitPolicy(self.headroom, ceiling, self.burst)


def _guaranteed(classes: list[ClassSection]) -> float:
    return sum(one.guaranteed for one in classes)


def _sum(classes: list[ClassSection]) -> str:
    parts = [f"{one.name} {one.guaranteed:g}" for one in classes if one.guaranteed]
    total = f" = {_guaranteed(classes):g}" if len(parts) > 1 else ""
    return " + ".join(parts) + total

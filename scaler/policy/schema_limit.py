"""The `limit` section of a policy file: the limit, priority classes and limits per client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from scaler.decision.limit import LimitPolicy
from scaler.limits.header_match import STRESS, STRESS_MATCH, HeaderMatch
from scaler.limits.lease import (
    CLIENT_WINDOW_S,
    LEAST_REFRESH_S,
    LEAST_VALID_S,
    MAX_AGE_S,
    MAX_REFRESH_S,
    AfterSafe,
    LeaseTerms,
)
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.fields import (
    Above,
    AtLeastOne,
    AtLeastZero,
    Duration,
    HeaderName,
    HeaderValue,
    Label,
    PositiveDuration,
    PositiveShare,
    Section,
    Share,
    duplicate_names,
    refuse,
)

_LIMIT, _LEASE = LimitPolicy(), LeaseTerms()


class MatchSection(Section):
    header: HeaderName
    """Request header that a request of this class has; only what clients cannot set themselves."""
    value: HeaderValue | None = None
    """What that header says, to the letter; any value if not given."""

    def to_match(self) -> HeaderMatch:
        return HeaderMatch(self.header.lower(), self.value)


class ClassSection(Section):
    name: Label
    """Name of the class in gateways."""
    priority: Annotated[int, Field(ge=0)]
    """0 is served first; classes of equal priority share fairly."""
    guaranteed: AtLeastZero = 0.0
    """Requests per second that are reserved for the class, even while it is idle."""
    ceiling: AtLeastZero | None = None
    """Upper bound of the class in requests per second."""
    match: MatchSection | None = None
    """How gateways recognise the class: the header x-stress-test for a class named stress, else
    rules of their own, if not given."""
    on_expiry: Literal["Open", "Closed"] | None = None
    """Whether a gateway admits all or none of the class when its lease has expired; that of the
    limit if not given."""

    @field_validator("ceiling")
    @classmethod
    def _above_guarantee(cls, value: float | None, info: ValidationInfo) -> float | None:
        guaranteed = info.data.get("guaranteed", 0.0)
        if value is not None and value < guaranteed:
            raise ValueError(f"must be at least guaranteed, which is {guaranteed:g}")
        return value

    def to_match(self) -> HeaderMatch | None:
        if self.match is not None:
            return self.match.to_match()
        return STRESS_MATCH if self.name == STRESS else None

    def to_class(self, usual: AfterSafe) -> PriorityClass:
        then = AfterSafe(self.on_expiry.lower()) if self.on_expiry else usual
        return PriorityClass(
            self.name, self.priority, self.guaranteed, self.ceiling, then, self.to_match()
        )


class PerClientSection(Section):
    window: PositiveDuration = CLIENT_WINDOW_S
    """Window over which a gateway compares what its clients send, where not all of it fits."""
    deviations: Annotated[float, Field(gt=0, le=10)] | None = None
    """Without effect since 0.2; remove it."""
    least_ratio: Annotated[float, Field(ge=1)] | None = None
    """Without effect since 0.2; remove it."""
    least_clients: AtLeastOne | None = None
    """Without effect since 0.2; remove it."""
    abusive_share: Share | None = None
    """Without effect since 0.2; remove it."""

    def without_effect(self) -> Iterator[str]:
        """Yield the keys that are given but no longer obeyed: no client is called abusive now."""
        for name in ("deviations", "least_ratio", "least_clients", "abusive_share"):
            if getattr(self, name) is not None:
                yield to_camel(name)


class LeaseSection(Section):
    valid_for: Duration = _LEASE.valid_for_s
    """How long a gateway acts on a limit without news; that long a lost one's share is kept."""
    refresh: Duration = _LEASE.refresh_s
    """How often a gateway reports and asks; at most half of validFor."""
    max_stale: Duration = _LEASE.max_stale_s
    """How long it admits the safe limit after that."""

    @field_validator("valid_for", "max_stale")
    @classmethod
    def _within_a_week(cls, value: float, info: ValidationInfo) -> float:
        least = LEAST_VALID_S if info.field_name == "valid_for" else 0.0
        if not least <= value <= MAX_AGE_S:
            raise ValueError(f"must be from {least:g}s to {MAX_AGE_S / 3600:g}h, which is a week")
        return value

    @field_validator("refresh")
    @classmethod
    def _often_enough(cls, value: float) -> float:
        if not LEAST_REFRESH_S <= value <= MAX_REFRESH_S:
            raise ValueError(
                f"must be from {LEAST_REFRESH_S * 1000:g}ms to {MAX_REFRESH_S / 60:g}m"
            )
        return value


class LimitSection(Section):
    headroom: PositiveShare = _LIMIT.headroom
    """Share of the ready capacity that gateways may admit."""
    ceiling_requests_per_second: Above | None = None
    """Upper bound of the limit, whatever the ready capacity."""
    safe_requests_per_second: AtLeastZero | None = None
    """Limit of gateways that cannot reach tidegate for long; derived if not given."""
    burst: Duration = _LIMIT.burst_s
    """Size of a burst, as a length of time at the limit."""
    lease: LeaseSection = LeaseSection()
    """How long gateways act on a limit."""
    on_expiry: Literal["Open", "Closed"] = "Open"
    """Whether a gateway admits all or no requests when its lease has expired."""
    classes: list[ClassSection] = Field(default=[])
    """Priority classes of requests."""
    per_client: PerClientSection = PerClientSection()
    """How the clients of a gateway are compared."""

    @field_validator("lease")
    @classmethod
    def _outlives_a_lost_question(cls, value: LeaseSection) -> LeaseSection:
        if value.refresh > value.valid_for / 2:
            rule = (
                f"must be at most half of validFor, which is {value.valid_for:g}s, for a question "
                f"may be lost; it is {_LEASE.refresh_s:g}s if not given"
            )
            refuse([rule], at=("refresh",))
        return value

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
        rules += same_matches(classes)
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

    def to_terms(self) -> LeaseTerms:
        lease = self.lease
        return LeaseTerms(
            valid_for_s=lease.valid_for,
            refresh_s=lease.refresh,
            max_stale_s=lease.max_stale,
            then=self._then,
        )

    def to_classes(self) -> tuple[PriorityClass, ...]:
        return tuple(one.to_class(self._then) for one in self.classes)

    @property
    def _then(self) -> AfterSafe:
        return AfterSafe(self.on_expiry.lower())

    def to_policy(self) -> LimitPolicy:
        ceiling = self.ceiling_requests_per_second
        if ceiling is None:
            return LimitPolicy(self.headroom, burst_s=self.burst)
        return LimitPolicy(self.headroom, ceiling, self.burst)


def same_matches(classes: list[ClassSection]) -> Iterator[str]:
    """Yield what is wrong where a request would be of two classes by one header."""
    known: dict[HeaderMatch, str] = {}
    for one in classes:
        match = one.to_match()
        if match is not None and known.setdefault(match, one.name) != one.name:
            header = match.header if match.value is None else f"{match.header}: {match.value}"
            yield (
                f"must each match another header, but {known[match]} and {one.name} both match "
                f"{header}; give one of them another value"
            )


def _guaranteed(classes: list[ClassSection]) -> float:
    return sum(one.guaranteed for one in classes)


def _sum(classes: list[ClassSection]) -> str:
    parts = [f"{one.name} {one.guaranteed:g}" for one in classes if one.guaranteed]
    total = f" = {_guaranteed(classes):g}" if len(parts) > 1 else ""
    return " + ".join(parts) + total

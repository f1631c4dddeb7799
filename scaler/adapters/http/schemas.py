"""Pydantic models of the wire: they check reports, and describe leases in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.report import GatewayReport
from scaler.limits.lease import MAX_QPS

Count = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=MAX_QPS, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=63)]
Instance = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:\-]{0,127}$")]

REPORT: dict[str, JsonValue] = {
    "instance": "gw-3",
    "version": 812,
    "epoch": "c0ff",
    "holds_rps": 335,
    "interval_s": 2,
    "classes": {"pay": {"admitted": 231, "denied": 0}, "stress": {"admitted": 80, "denied": 920}},
}
LEASE: dict[str, JsonValue] = {
    "schema": 1, "service": "prod/shop", "epoch": "c0ff", "version": 812, "mode": "enforce",
    "valid_for_s": 10, "refresh_s": 2,
    "on_expiry": {"action": "safe", "safe_rps": 310, "max_stale_s": 120, "then": "open"},
    "global": {"rps": 1240, "burst": 124},
    "share": {"policy": "fair_demand", "rps": 335, "burst": 34, "instances": 4, "reason": "fair"},
    "client_window_s": 10, "per_client": None,
    "spare_rps": 175,
    "classes": [
        {"name": "pay", "priority": 0, "guaranteed_rps": 32.4, "rps": 120, "ceiling_rps": 295,
         "reason": "demand", "then": "open"},
        {"name": "stress", "match": {"header": "x-stress-test"}, "priority": 9,
         "guaranteed_rps": 0, "rps": 40, "ceiling_rps": 40, "reason": "ceiling", "then": "closed"},
    ],
    "schedule": [{"in_s": 60, "rps": 372}, {"in_s": 300, "rps": 405}],
    "why": {"binding": "capacity", "ready_replicas": 8, "rps_per_replica": 155,
            "forecast_p50": 1100, "forecast_p90": 1460, "trusted": True},
}  # fmt: skip


class _RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ClassCounts(_RequestBody):
    admitted: Count = 0
    denied: Count = 0


class ReportBody(_RequestBody):
    """What a gateway counted since its last report."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"example": REPORT})

    instance: Instance
    version: Annotated[int, Field(ge=0, le=10**15)] | None = None
    """Version of the lease that the gateway acts on."""
    epoch: Annotated[str, Field(max_length=32)] | None = None
    """Epoch of that lease."""
    holds_rps: Rate = 0.0
    """Share of that lease; a server that has just started learns it from here."""
    interval_s: Annotated[FiniteFloat, Field(gt=0, le=3600)] = 1.0
    """Seconds over which requests were counted."""
    offered_rps: Rate | None = None
    """Admitted and denied together. If left out: the counted requests divided by the interval."""
    admitted: Count | None = None
    denied: Count | None = None
    classes: Annotated[dict[Name, ClassCounts], Field(max_length=64)] = {}
    client_rates: JsonValue = None
    """As gateways of before 0.2 report; not used."""
    client_histogram: JsonValue = None
    """As gateways of before 0.2 report; not used."""

    def to_request(self, epoch: str) -> LeaseRequest:
        """Return the request for a lease that the report makes to a server of this epoch."""
        version = self.version if self.epoch in (None, epoch) else None
        return LeaseRequest(self.instance, "", self.to_report(), version, holds_qps=self.holds_rps)

    def to_report(self) -> GatewayReport:
        classes = {
            name: self._rate(counts.admitted + counts.denied)
            for name, counts in self.classes.items()
        }
        wants = self.offered_rps
        if wants is None and (self.admitted is not None or self.denied is not None):
            wants = self._rate((self.admitted or 0) + (self.denied or 0))
        if wants is None and classes:
            wants = min(sum(classes.values()), MAX_QPS)
        passed = {name: self._rate(counts.admitted) for name, counts in self.classes.items()}
        admits = None if self.admitted is None else self._rate(self.admitted)
        if admits is None and classes and self.offered_rps is None and self.denied is None:
            admits = min(sum(passed.values()), MAX_QPS)
        return GatewayReport(wants, classes, admits, passed, self.interval_s)

    def _rate(self, count: float) -> float:
        return min(count / self.interval_s, MAX_QPS)


class OnExpiryBody(BaseModel):
    action: Literal["safe"]
    safe_rps: float
    max_stale_s: float
    then: Literal["open", "closed"]


class GlobalBody(BaseModel):
    rps: float
    burst: int


class ShareBody(BaseModel):
    policy: Literal["fair_demand"]
    rps: float
    burst: int
    instances: int
    reason: Literal["fair", "waits", "newcomer", "learning"]


class MatchBody(BaseModel):
    header: str
    value: str | None = None
    """What the header says, to the letter; left out: any value."""


class ClassBody(BaseModel):
    name: str
    match: MatchBody | None = None
    priority: int
    guaranteed_rps: float
    rps: float
    ceiling_rps: float
    reason: Literal["demand", "ceiling", "limit", "shrunk", "unknown"]
    then: Literal["open", "closed"]


class StepBody(BaseModel):
    in_s: float
    rps: float


class WhyBody(BaseModel):
    binding: str
    ready_replicas: int | None
    rps_per_replica: float | None
    forecast_p50: float | None
    forecast_p90: float | None
    trusted: bool


class LeaseBody(BaseModel):
    """One gateway's lease. Seconds count from its arrival, or from its last renewal by a 304."""

    model_config = ConfigDict(json_schema_extra={"example": LEASE})

    schema_: Annotated[Literal[1], Field(alias="schema")]
    service: str
    epoch: str
    version: int
    mode: Literal["recommend", "enforce"]
    valid_for_s: float
    refresh_s: float
    on_expiry: OnExpiryBody
    global_: Annotated[GlobalBody, Field(alias="global")]
    share: ShareBody
    client_window_s: float
    """Over which a gateway compares what its clients send."""
    per_client: None = None
    """For gateways of before 0.2, which look for it."""
    spare_rps: float
    classes: list[ClassBody]
    schedule: list[StepBody]
    why: WhyBody


class Problem(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "detail": "no service 'prod/shup'; there is prod/shop",
                "near": ["prod/shop"],
            }
        }
    )

    detail: str
    field: str | None = None
    near: list[str] | None = None
    reason: str | None = None
    """Why it is refused for who asks."""
    may: dict[str, list[str]] | None = None
    """Roles and namespaces of the token or certificate."""
    asked: dict[str, JsonValue] | None = None
    """What the request needs."""

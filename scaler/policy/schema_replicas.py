"""The sections of a policy file on replicas: how many, what one sustains, and what it costs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema, field_validator

from scaler.decision.limit import WARM_AT_ONCE, Ramp
from scaler.decision.replicas import ScalePolicy
from scaler.decision.savings import ReplicaPrice
from scaler.policy.fields import (
    Above,
    AtLeastOne,
    Duration,
    PositiveShare,
    Section,
    Share,
    Text,
)
from scaler.policy.replay_settings import ReplaySettings

_SCALE, _REPLAY = ScalePolicy(), ReplaySettings()
# ISO 4217, list one of the maintenance agency: codes of currencies in use.
_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD
KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO
NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE
SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV
WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = _CODES.split()
_SCHEMA: dict[str, Any] = {"type": "string", "enum": CURRENCIES}


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


def _in_use(value: str) -> str:
    if value not in CURRENCIES:
        upper = value.upper()
        fix = f"; write {upper}" if upper in CURRENCIES else ""
        raise ValueError(f"must be a currency's code by ISO 4217, such as EUR or USD{fix}")
    return value


class CostSection(Section):
    replica_hour: Above
    """What one replica costs for an hour."""
    currency: Annotated[str, AfterValidator(_in_use), WithJsonSchema(_SCHEMA)]
    """Code of the currency by ISO 4217, such as EUR."""

    def to_price(self) -> ReplicaPrice:
        return ReplicaPrice(self.replica_hour, self.currency)

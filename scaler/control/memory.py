"""All that the loop remembers between two ticks, as frozen values that lose nothing.

A checkpoint is what the next process goes on with; it is rounded, and floors are not in it. This
is what the next tick rests on: a loop that recalls it decides as the one that it was taken from.
What is only shown (the counterfactual, the page's figures) is not in it, nor are the values of
histories: they are read by models alone, and what models say is here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from forecaster.data.series import FloatArray, Forecast
from scaler.control.checkpoint import ServiceCheckpoint
from scaler.control.trial import TrialMemory
from scaler.decision.capacity import Capacity
from scaler.decision.decide import DecisionState
from scaler.decision.lead_demand import LeadForecast
from scaler.decision.trust import Trust
from scaler.decision.wariness import Wariness
from scaler.policy.policy import Policy


@dataclass(frozen=True, eq=False, slots=True)
class PendingForecast:
    """What a forecast said, until its lead time is over: its last step ends at ``due``."""

    due: float
    origin: float
    lead_forecast: LeadForecast
    last_qps: float


@dataclass(frozen=True, slots=True)
class StartUpsMemory:
    """Of `StartUps`: ``starting`` and ``known`` are UIDs of pods."""

    times: tuple[float, ...]
    starting: frozenset[str]
    known: frozenset[str]
    looked_at: float


@dataclass(frozen=True, eq=False, slots=True)
class ServiceMemory:
    """Of `ServiceState`; its lead time follows from the rest."""

    policy: Policy
    trust: Trust | None
    restored: ServiceCheckpoint
    pending: tuple[PendingForecast, ...]
    samples: FloatArray  # (n, 2): stamps and QPS, the latest last
    newest: float
    state: DecisionState | None
    last_known: tuple[float, float] | None
    distrusted_until: float
    start_ups: StartUpsMemory
    low_qps: float = math.nan


@dataclass(frozen=True, slots=True)
class HistoryMemory:
    """Of `DemandHistory`: when the last sample of each item ends, and what came of asking.

    ``known`` says the same of the last sample that has a value, where that is another.
    """

    ends: Mapping[str, float]
    tried: Mapping[str, float]
    told: Mapping[str, str]
    known: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class LearnedMemory:
    """Of `CapacityTracker`, for one item; ``moments`` are ``(n, 2)``: load and latency."""

    moments: FloatArray
    capacity: Capacity | None
    why_not: str
    taken_at: float
    tried_at: float


@dataclass(frozen=True, eq=False, slots=True)
class ModelMemory:
    """Of `Forecasts`: what one model said last."""

    forecast: Forecast | None
    rows: Mapping[str, int]
    faults: Mapping[str, str]
    fault: str


@dataclass(frozen=True, eq=False, slots=True)
class LoopMemory:
    """Of `ControlLoop`: ``ticks`` are those that it has made."""

    ticks: int
    services: Mapping[str, ServiceMemory]
    histories: HistoryMemory
    learned: Mapping[str, LearnedMemory]
    models: Mapping[str, ModelMemory]
    renewed_at: float
    wariness: Mapping[str, Wariness] = field(default_factory=dict)
    trials: Mapping[str, TrialMemory] = field(default_factory=dict)

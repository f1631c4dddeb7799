"""The ports of the control loop: what it asks of the world, and the values that they exchange.

Moments are seconds since the epoch; demand is in requests per second (QPS).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from forecaster.data.series import Block, FloatArray, Forecast, Series
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.snapshot import PlanOutcome, ServiceView
from scaler.decision.review import Review
from scaler.decision.seasonal_low import seasonal_lows
from scaler.hpa.controller import HPASpec
from scaler.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class WatchedPolicy:
    """A policy, and the autoscaler that the counterfactual is of.

    ``checkpoint`` is what the last process has left of the service, as `checkpoint.to_plain` wrote
    it. ``review`` is the one by which the policy's settings were chosen; None: they are its own.
    """

    policy: Policy
    hpa: HPASpec
    checkpoint: Mapping[str, Any] | None = None
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class TrafficQuery:
    """What to ask of one service; ``since`` is the stamp of its last sample."""

    item_id: str
    demand_query: str
    slo_query: str | None
    since: float
    mask_query: str | None = None


class TrafficSource(Protocol):
    """Where demand is observed."""

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        """Return what the metrics say of each service now, in order."""

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        """Return the past of each ``(item_id, PromQL)`` up to now, or why there is none."""


class BatchForecast(Protocol):
    """A forecast of many items; ``faults`` says why an item has none."""

    @property
    def forecast(self) -> Forecast | None: ...
    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def faults(self) -> Mapping[str, str]: ...


class ForecastModels(Protocol):
    """What forecasts."""

    def reload(self, names: Sequence[str]) -> None:
        """Load what is not loaded, and what has a new champion."""

    def predict(self, name: str, series: Sequence[Series]) -> BatchForecast:
        """Return the forecast of model ``name`` for the next steps of each series."""


class Workloads(Protocol):
    """Where pods are observed and plans are carried out."""

    def observe(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        """Return the pods of each service by item_id, or why they are not known."""

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, PlanOutcome]:
        """Carry the plans out; return what came of each, by item_id."""


class DemandWitness(Protocol):
    """Who else knows what is offered."""

    def reported(self) -> Mapping[str, float]:
        """Return the QPS that fresh reports of gateways add up to, by item_id."""


class NoWitness:
    """Nobody reports."""

    def reported(self) -> Mapping[str, float]:
        return {}


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside of the loop.

    ``seasonal_lows`` reads histories, which no journal holds: what it answers is recorded.
    """

    traffic: TrafficSource
    models: ForecastModels
    workloads: Workloads
    witness: DemandWitness = field(default_factory=NoWitness)
    seasonal_lows: Callable[[Block], FloatArray] = seasonal_lows

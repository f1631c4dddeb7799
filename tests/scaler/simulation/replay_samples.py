"""Small scenes, forecasts and policies for the tests of the replay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from forecaster.data.series import Forecast, Series
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.rules import HPASpec
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings, WorldTiming
from scaler.policy.service_model import ServiceModel
from scaler.simulation.contenders import AutoscalerAlone, KnownReplicas, run
from scaler.simulation.contest import ContestSetting
from scaler.simulation.preparation import ReplayPart, prepared
from scaler.simulation.world import Run, Scene, SimulatedService

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
START = FIRST.timestamp()
MINUTE = timedelta(minutes=1)
LEVELS = (0.1, 0.5, 0.9, 0.95, 0.99)
# Exactly 90 s until ready, and warm 30 s later: 8 ticks of 15 s.
EXACT = ServiceModel(100.0, start_up_spread=0.0)
LEAD_TICKS = 8


def scene(
    demand: Sequence[float] | np.ndarray,
    replicas: int,
    *,
    model: ServiceModel = EXACT,
    timing: WorldTiming | None = None,
    seed: int = 0,
) -> Scene:
    """Return a scene with one figure of demand per tick."""
    values = np.asarray(demand, dtype=np.float64)
    return Scene(START, values, model, replicas, timing or WorldTiming(), seed)


def held(one: Scene, replicas: Sequence[int], name: str = "held") -> Run:
    """Return what happens with these replicas, tick by tick."""
    return run(one, KnownReplicas(name, replicas), SimulatedService(one, None))


def alone(one: Scene, hpa: HPASpec, window_s: float = 60.0) -> Run:
    """Return what happens under an autoscaler alone."""
    service = SimulatedService(one, hpa, window_s)
    service.floor = hpa.min_replicas
    return run(one, AutoscalerAlone("HPA"), service)


def forecast_of(
    medians: np.ndarray, *, step: timedelta = MINUTE, spread: float = 0.1, first: datetime = FIRST
) -> Forecast:
    """Return a forecast with these medians, ``(rows, steps)``, and quantiles around them."""
    around = 1 + spread * np.array([-1.0, 0.0, 1.0, 1.3, 2.0])
    rows = len(medians)
    return Forecast(
        item_ids=("shop/web",) * rows,
        origins=tuple(first + row * step for row in range(rows)),
        step=step,
        quantile_levels=LEVELS,
        values=np.asarray(medians, dtype=np.float64)[:, :, None] * around,
        sources=("made up",) * rows,
    )


def wave(days: float, *, step: timedelta = MINUTE, seed: int = 0) -> Series:
    """Return a day's wave of 200 to 1,800 QPS with a little noise."""
    count = round(days * timedelta(days=1) / step)
    phase = 2 * np.pi * np.arange(count) * (step / timedelta(days=1))
    noise = np.random.default_rng(seed).normal(0, 15, count)
    return Series("shop/web", FIRST, step, 1000 - 800 * np.cos(phase) + noise)


def policy_of(**options) -> Policy:
    plain = {
        "item_id": "shop/web",
        "target": "web",
        "scale": ScalePolicy(2, 60, target_utilization=0.9),
        "capacity_qps": 100.0,
    }
    return Policy(**{**plain, **options})


def setting_of(hours: float = 6.0, *, days: float = 2.5, **options) -> ContestSetting:
    """Return the last hours of a wave, with Holt-Winters as the forecaster."""
    series = wave(days)
    part = ReplayPart(series.end - timedelta(hours=hours))
    settings = ReplaySettings(start_up_spread=0.0, **options)
    return prepared(series, policy_of(), settings, None, part)

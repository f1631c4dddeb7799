"""Closed-loop replay on recorded traffic: cost and violations beside the best-tuned HPA.

The last part of each one-minute trace is replayed, which the model has not seen, by the classes
that `scaler run` drives. A replica sustains so much that the peak of that part needs 40 of them at
a utilisation of 0.8; it starts in 90 s and warms up for 30 s. Each contender is tuned in hindsight,
over a grid of its own settings, which favours each alike. The figures are replica-hours over the
clairvoyant's.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.accuracy import CONFIG
from benchmarks.maxima import print_maxima
from benchmarks.tables import markdown
from benchmarks.traces import ONE_MINUTE, load
from forecaster.data.series import FloatArray, Forecast, History, Series
from forecaster.evaluation.metrics import geometric_mean
from forecaster.evaluation.rolling import rolling_forecast
from forecaster.evaluation.selection import train
from forecaster.models.forecaster import Forecaster
from scaler.decision.lead_demand import ForecastReader
from scaler.decision.replicas import ScalePolicy
from scaler.decision.trust import TrustRules
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contenders import TidegateContender, run
from scaler.simulation.contest import (
    CLAIRVOYANT,
    HPA,
    OFFSETS,
    ROWS_AT_ONCE,
    TIDEGATE,
    ContestJob,
    ContestSetting,
    carried_out,
)
from scaler.simulation.outcome import outcome
from scaler.simulation.preparation import ReplayPart, prepared
from scaler.simulation.world import SimulatedService

PEAK_REPLICAS, PEAK_UTILIZATION = 40, 0.8
MOST_REPLICAS = 400
ALLOWED = 0.001
TARGETS = (0.2, 0.3, 0.5, 0.6, 0.8, 0.9, 0.95, 1.0)
STABILIZATIONS_S = (60.0, 300.0)
RISKS = (0.2, 0.05, 0.005)
OWN_TARGET = 0.6
SEASONAL = 0.64  # strength from which R's forecast::nsdiffs takes a series to be seasonal
# A trace's name, the strength of its daily season, and what is replayed of it.
Task = tuple[str, float, ContestSetting]
T = TypeVar("T")


@dataclass(frozen=True)
class Tried:
    """A contender's figures under one choice of its settings."""

    settings: str
    violations: float
    hours: float


@dataclass(frozen=True)
class TraceResult:
    """What one trace came to."""

    name: str
    season: float
    floor_hours: float
    idle: float
    rivals: dict[str, list[Tried]]  # by contender: the HPA, and KEDA with each offset
    ours: list[Tried]


def replay(traces: Path) -> None:
    """Ten one-minute traces under the HPA and tidegate, each tuned in hindsight."""
    history = load(traces, ONE_MINUTE)
    stages = stages_of(history)
    print_maxima(stages)
    print_results(judged(judge, stages))


def stages_of(history: History) -> list[Stage]:
    """Return all traces, ready to be replayed with one model that was trained on all of them."""
    forecaster = train(history, CONFIG).forecaster
    return [Stage(series, forecaster) for series in history]


def judged(one: Callable[[Task], T], stages: list[Stage]) -> list[T]:
    """Return what each trace comes to, two at a time."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(one, [stage.task() for stage in stages]))


class Stage:
    """One trace, ready to be replayed."""

    def __init__(self, series: Series, forecaster: Forecaster) -> None:
        self.series = series
        self.first = round(len(series) * (1 - CONFIG.test_share))
        self.origins = np.arange(self.first - 2, len(series) - 1)
        self._forecaster = forecaster
        policy, hpa = service_of(series, series.values[self.first :])
        start = series.start + self.first * series.step
        self.setting = prepared(
            series, policy, ReplaySettings(hpa), forecaster, ReplayPart(start, skip_gaps=True)
        )

    @cached_property
    def forecast(self) -> Forecast:
        """What is forecast from all origins."""
        return rolling_forecast(self._forecaster, self.series, self.origins)

    def task(self) -> Task:
        """Return what a worker needs."""
        return self.series.item_id, season_strength(self.series), self.setting


def service_of(series: Series, sized_by: FloatArray) -> tuple[Policy, HPASpec]:
    """Return the service of a trace, of which 40 replicas serve the peak of some time at 0.8."""
    capacity = float(np.nanmax(sized_by)) / (PEAK_REPLICAS * PEAK_UTILIZATION)
    policy = Policy(
        item_id=f"trace/{series.item_id}",
        target=series.item_id,
        scale=ScalePolicy(1, MOST_REPLICAS),
        capacity_qps=capacity,
    )
    return policy, HPASpec(1, MOST_REPLICAS, MetricKind.PODS, OWN_TARGET * capacity)


def season_strength(series: Series) -> float:
    """Return how much of what is not trend is a season of one day: 0 none, 1 all.

    ``1 - Var(remainder) / Var(season + remainder)`` of a classical decomposition of ten-minute
    means (Wang, Smith and Hyndman, 2006, Data Mining and Knowledge Discovery 13).
    """
    known = np.nan_to_num(series.values, nan=float(np.nanmean(series.values)))
    means = known[: len(known) // 10 * 10].reshape(-1, 10).mean(axis=1)
    day = 144
    trend = np.convolve(means, np.ones(day) / day, mode="valid")
    left = (means[day // 2 : day // 2 + len(trend)] - trend)[: len(trend) // day * day]
    days = left.reshape(-1, day)
    remainder = days - days.mean(axis=0)
    return max(0.0, 1 - float(remainder.var() / days.var()))


def judge(task: Task) -> TraceResult:
    """Return all that was tried on one trace."""
    name, season, setting = task
    begun = time.perf_counter()
    floor = outcome(setting.scene, carried_out(setting, ContestJob(CLAIRVOYANT, 1.0))[0])
    rivals = {
        family: [
            tried_rival(setting, family, target, stabilization)
            for target, stabilization in itertools.product(TARGETS, STABILIZATIONS_S)
        ]
        for family in (HPA, *OFFSETS)
    }
    # Distributions are worked out once for all of the grid.
    reader = ForecastReader(setting.ours, block=ROWS_AT_ONCE)
    ours = []
    for risk, target, stabilization in itertools.product(RISKS, TARGETS, STABILIZATIONS_S):
        scale = replace(
            setting.policy.scale, target_utilization=target, stabilization_s=stabilization
        )
        policy = replace(setting.policy, scale=scale, trust=TrustRules(risk=risk))
        tick_s = setting.scene.timing.tick_s
        who = TidegateContender(TIDEGATE, policy, setting.samples, reader, tick_s)
        done = run(setting.scene, who, SimulatedService(setting.scene, setting.net))
        found = outcome(setting.scene, done)
        settings = f"risk {risk:g}, {target:g}, {stabilization:.0f} s"
        ours.append(Tried(settings, found.violations, found.replica_hours))
    seconds = time.perf_counter() - begun
    replays = sum(map(len, rivals.values())) + len(ours)
    print(f"{name}: {replays} replays in {seconds:.0f} s", file=sys.stderr, flush=True)
    return TraceResult(name, season, floor.replica_hours, 1 - _idle(setting), rivals, ours)


def tried_rival(
    setting: ContestSetting, family: str, target: float, stabilization_s: float
) -> Tried:
    """Return what the HPA or KEDA comes to with this target and stabilization window."""
    down = replace(setting.hpa.down, stabilization_s=stabilization_s)
    tuned = replace(setting, hpa=replace(setting.hpa, scale_down=down))
    found = outcome(setting.scene, carried_out(tuned, ContestJob(family, target))[0])
    return Tried(f"{target:g}, {stabilization_s:.0f} s", found.violations, found.replica_hours)


def _idle(setting: ContestSetting) -> float:
    """Return the share of requests within the SLO when nobody waits: no policy can do better."""
    model = setting.scene.model
    return 1 - float(np.exp(-model.slo_s / model.service_time_s))


def cheapest(tried: Iterable[Tried]) -> Tried | None:
    """Return the cheapest within the allowed violations."""
    within = [t for t in tried if t.violations <= ALLOWED]
    return min(within, key=lambda t: t.hours, default=None)


def print_results(results: list[TraceResult]) -> None:
    print("\n## Replicas on recorded traffic: replica-hours over the clairvoyant's\n")
    print(f"At most {ALLOWED:.1%} of the requests over the SLO, dropped or refused.\n")
    rows: list[tuple[object, ...]] = []
    seasonal = []
    for r in results:
        hpa, ours = cheapest(r.rivals[HPA]), cheapest(r.ours)
        hpa_cost, our_cost = (t.hours / r.floor_hours if t else math.nan for t in (hpa, ours))
        figures = [hpa_cost, our_cost, our_cost / hpa_cost]
        if r.season >= SEASONAL:
            seasonal.append(figures)
        told = ["none" if math.isnan(x) else x for x in figures]
        settings = [t.settings if t else "" for t in (hpa, ours)]
        rows.append((r.name, r.season, *told, *settings))
    if seasonal:
        means = [geometric_mean(column) for column in zip(*seasonal, strict=True)]
        rows.append((f"geometric mean of the {len(seasonal)} seasonal", "", *means, "", ""))
    columns = ("trace", "season", "HPA", "tidegate", "tidegate / HPA", "best HPA", "best tidegate")
    print(markdown(columns, rows))
    print("\n### Beside KEDA with an offset query, each tuned alike\n")
    heads = [f"{family}{of}" for family in OFFSETS for of in ("", ", settings", ": tidegate / it")]
    print(markdown(("trace", *heads), map(_beside_offsets, results)))
    print(f"\n### At the cost of an HPA with target {OWN_TARGET:g}: violations in per cent\n")
    cost_rows = []
    for r in results:
        own = next(t for t in r.rivals[HPA] if t.settings == f"{OWN_TARGET:g}, 300 s")
        best = min((t for t in r.ours if t.hours <= own.hours), key=lambda t: t.violations)
        above = max(own.violations - r.idle, 0.0), max(best.violations - r.idle, 0.0)
        ratio = f"{above[1] / above[0]:.3f}" if above[0] > 1e-6 else "none to avoid"
        cost_rows.append(
            (
                r.name, own.hours / r.floor_hours, f"{100 * own.violations:.4f}",
                f"{100 * best.violations:.4f}", ratio, best.settings,
            )
        )  # fmt: skip
    print(
        markdown(
            ("trace", "cost", "HPA", "tidegate", "ratio above an idle service's", "settings"),
            cost_rows,
        )
    )


def _beside_offsets(result: TraceResult) -> list[object]:
    """Return the costs of KEDA's offset queries, and tidegate's over each."""
    ours = cheapest(result.ours)
    cells: list[object] = [result.name]
    for family in OFFSETS:
        its = cheapest(result.rivals[family])
        ratio = ours.hours / its.hours if ours and its else "none"
        cells += [its.hours / result.floor_hours, its.settings] if its else ["none", ""]
        cells.append(ratio)
    return cells

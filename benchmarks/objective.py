"""Settings that tidegate chooses for itself, walked forward, beside the HPA tuned in hindsight.

The last quarter of each one-minute trace is replayed. At its begin, and at each midnight after it,
the days before are reviewed as `scaler run` reviews them, and the settings that are chosen stand
until the next. No day is forecast by a model that has seen it: models end with the first, the
second and the third quarter. What a replica sustains is fixed beforehand: the peak of the first
three quarters needs 40 of them at a utilisation of 0.8. The HPA is the cheapest of 16 choices that
breaks at most 0.1 % *of the very time that is replayed*, which nobody can know beforehand.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.accuracy import CONFIG, fit
from benchmarks.replay import (
    ALLOWED,
    MOST_REPLICAS,
    OWN_TARGET,
    PEAK_REPLICAS,
    PEAK_UTILIZATION,
    STABILIZATIONS_S,
    TARGETS,
)
from benchmarks.tables import markdown
from benchmarks.traces import ONE_MINUTE, load
from forecaster.data.series import FloatArray, History, Series
from forecaster.evaluation.metrics import geometric_mean
from forecaster.models.forecaster import Forecaster
from scaler.decision.lead_demand import ForecastReader
from scaler.decision.objective import Objective, ReviewRules
from scaler.decision.replicas import ScalePolicy
from scaler.decision.review import Review
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contenders import TidegateContender
from scaler.simulation.contest import (
    CLAIRVOYANT,
    HPA,
    ROWS_AT_ONCE,
    TIDEGATE,
    ContestJob,
    ContestSetting,
    carried_out,
)
from scaler.simulation.outcome import outcome
from scaler.simulation.preparation import ReplayPart, prepared, restaged
from scaler.simulation.review import DAY_S, PastDays, Subject, reviewed
from scaler.simulation.world import Run, SimulatedService

START_UPS_S = (30.0, 90.0, 300.0)
QUARTERS = (0.25, 0.5, 0.75)
# Of a short history, enough to calibrate on.
EARLY_CONFIG = replace(CONFIG, calibration_share=0.2, test_share=0.05)
OBJECTIVE = Objective(violations=ALLOWED)
# The objective is to be kept wherever the HPA that keeps it costs at most so much.
REACHABLE = 5.0
RESAMPLED = 1000


@dataclass(frozen=True)
class Reached:
    """What one contender came to: replica-hours of each hour, and the share of broken requests."""

    hourly: FloatArray
    violations: float
    settings: str

    @property
    def hours(self) -> float:
        return float(self.hourly.sum())


@dataclass(frozen=True)
class TraceFigure:
    """One trace at one start-up time; ``hpa`` None: no choice keeps the objective."""

    name: str
    start_up_s: float
    floor: Reached
    ours: Reached
    given: Reached
    hpa: Reached | None
    reviews: tuple[float, ...]  # seconds that each took

    @property
    def hpa_cost(self) -> float:
        return math.inf if self.hpa is None else self.hpa.hours / self.floor.hours


def objective(traces: Path) -> None:
    """Ten one-minute traces by settings chosen walk-forward, at three start-up times."""
    tasks = staged(traces)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = [one for part in pool.map(walk, tasks) for one in part]
    for start_up_s in START_UPS_S:
        print_figures([one for one in found if one.start_up_s == start_up_s], start_up_s)
    nights = [seconds for one in found for seconds in one.reviews[1:]]
    first = [one.reviews[0] for one in found]
    print(
        f"\nA review took {np.median(nights):.1f} s in the median and {max(nights):.1f} at most, "
        f"the first one {max(first):.0f} at most, in one process beside another."
    )


@dataclass(frozen=True, eq=False)
class WalkTask:
    """What a worker needs: a trace, and the models of its quarters, the newest first."""

    series: Series
    forecasters: tuple[Forecaster, ...]

    @property
    def first(self) -> int:
        return round(len(self.series) * QUARTERS[-1])


def staged(traces: Path) -> list[WalkTask]:
    """Return the traces and their models; the longest first, for two at a time."""
    history = load(traces, ONE_MINUTE)
    early = [_until(history, end) for end in QUARTERS[:-1]]
    models = [fit(one, EARLY_CONFIG).forecaster for one in early]
    models.append(fit(history, CONFIG).forecaster)
    tasks = [WalkTask(series, tuple(reversed(models))) for series in history]
    return sorted(tasks, key=lambda task: -len(task.series))


def _until(history: History, end: float) -> History:
    """Return the first part of each series."""
    return History(
        tuple(
            one.between(one.start, one.start + round(len(one) * end) * one.step) for one in history
        )
    )


def subject_of(task: WalkTask) -> Subject:
    """Return the service of a trace."""
    series, first = task.series, task.first
    capacity = float(np.nanmax(series.values[:first])) / (PEAK_REPLICAS * PEAK_UTILIZATION)
    policy = Policy(
        item_id=f"trace/{series.item_id}",
        target=series.item_id,
        scale=ScalePolicy(1, MOST_REPLICAS),
        capacity_qps=capacity,
    )
    hpa = HPASpec(1, MOST_REPLICAS, MetricKind.PODS, OWN_TARGET * capacity)
    return Subject(policy, ReplaySettings(hpa), task.forecasters)


def walk(task: WalkTask) -> list[TraceFigure]:
    """Return what a trace comes to at each start-up time."""
    series, subject = task.series, subject_of(task)
    start = series.start + task.first * series.step
    part = ReplayPart(start, skip_gaps=True)
    newest = task.forecasters[0]
    given = ContestJob(TIDEGATE, subject.policy.tuning.target_utilization)
    judged = prepared(series, subject.policy, subject.settings, newest, part)
    days = PastDays(subject, series)
    found = []
    for start_up_s in START_UPS_S:
        begun = time.perf_counter()
        settings = replace(subject.settings, start_up_s=start_up_s)
        setting = restaged(judged, settings)
        walker = Walker(setting, days.under(settings), start)
        ours = _reached(setting, walker.walk(), str(walker.review.choice.tuning))
        found.append(
            TraceFigure(
                series.item_id,
                start_up_s,
                _reached(setting, carried_out(setting, ContestJob(CLAIRVOYANT, 1.0))[0], ""),
                ours,
                _reached(setting, carried_out(setting, given)[0], "given"),
                best_hpa(setting),
                tuple(walker.seconds),
            )
        )
        seconds = time.perf_counter() - begun
        print(
            f"{series.item_id} at {start_up_s:.0f} s: {seconds:.0f} s; "
            f"{ours.hours / found[-1].floor.hours:.3f}, {ours.violations:.5f}; "
            f"{' | '.join(walker.said)}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return found


class Walker:
    """tidegate under settings that it reviews each midnight."""

    def __init__(self, setting: ContestSetting, days: PastDays, start: datetime) -> None:
        self._setting, self._days = setting, days
        self._rules = ReviewRules(OBJECTIVE, setting.policy.tuning, setting.capacity_qps * 3600)
        self.seconds: list[float] = []
        self.said: list[str] = []
        self.review = self._reviewed(None, int(start.timestamp() // DAY_S))

    def _reviewed(self, before: Review | None, today: int) -> Review:
        begun = time.perf_counter()
        review = reviewed(self._days, self._rules, before, today)
        self.seconds.append(time.perf_counter() - begun)
        choice = review.choice
        self.said.append(f"{choice.tuning} ({choice.reason.value})")
        return review

    def walk(self) -> Run:
        """Return the run in which the settings of each review stand until the next."""
        scene, policy = self._setting.scene, self._setting.policy
        reader = ForecastReader(self._setting.ours, block=ROWS_AT_ONCE)
        service = SimulatedService(scene, self._setting.net)
        begun = policy.tuned(self.review.choice.tuning)
        samples, tick_s = self._setting.samples, scene.timing.tick_s
        who = TidegateContender(TIDEGATE, begun, samples, reader, tick_s)
        for tick in range(scene.ticks):
            now = scene.now(tick)
            today = int(now // DAY_S)
            if today > self.review.reviewed:
                self.review = self._reviewed(self.review, today)
                who.follow_policy(policy.tuned(self.review.choice.tuning))
            service.begin(tick)
            service.end(tick, who.decide(tick, now, service))
        return service.run(TIDEGATE)


def best_hpa(setting: ContestSetting) -> Reached | None:
    """Return the cheapest HPA that keeps the objective on the very time that is replayed."""
    found = []
    for target, stabilization_s in itertools.product(TARGETS, STABILIZATIONS_S):
        down = replace(setting.hpa.down, stabilization_s=stabilization_s)
        one = replace(setting, hpa=replace(setting.hpa, scale_down=down))
        done = carried_out(one, ContestJob(HPA, target))[0]
        found.append(_reached(one, done, f"{target:g}, {stabilization_s:.0f} s"))
    within = [one for one in found if one.violations <= ALLOWED]
    return min(within, key=lambda one: one.hours, default=None)


def _reached(setting: ContestSetting, done: Run, settings: str) -> Reached:
    per_hour = round(3600 / setting.scene.timing.tick_s)
    padded = np.pad(done.replicas, (0, -len(done.replicas) % per_hour))
    hourly = padded.reshape(-1, per_hour).sum(axis=1) * setting.scene.timing.tick_s / 3600
    return Reached(hourly, outcome(setting.scene, done).violations, settings)


def print_figures(found: Sequence[TraceFigure], start_up_s: float) -> None:
    """Print the table of one start-up time."""
    print(f"\n## A start-up of {start_up_s:.0f} s: cost over the clairvoyant's, violations\n")
    rng = np.random.default_rng(0)
    rows: list[tuple[object, ...]] = []
    logs = []
    for one in found:
        floor = one.floor.hours
        ratio, low, high = "none", "", ""
        if one.hpa is not None:
            resampled = _resampled(one.ours.hourly, one.hpa.hourly, rng)
            logs.append((math.log(one.ours.hours / one.hpa.hours), np.log(resampled)))
            ratio = f"{one.ours.hours / one.hpa.hours:.3f}"
            low, high = (f"{x:.3f}" for x in np.quantile(resampled, (0.025, 0.975)))
        rows.append(
            (
                one.name,
                f"{one.given.hours / floor:.3f}, {100 * one.given.violations:.4f} %",
                f"{one.ours.hours / floor:.3f}, {100 * one.ours.violations:.4f} %",
                "none" if one.hpa is None else f"{one.hpa_cost:.3f} ({one.hpa.settings})",
                ratio, f"{low} - {high}", one.ours.settings,
            )
        )  # fmt: skip
    columns = (
        "trace", "default settings", "self-chosen", "best HPA in hindsight", "self-chosen / HPA",
        "95 %", "settings at the end",
    )  # fmt: skip
    print(markdown(columns, rows))
    means = np.mean([resampled for _, resampled in logs], axis=0)
    low, high = np.exp(np.quantile(means, (0.025, 0.975)))
    mean = geometric_mean(math.exp(log) for log, _ in logs)
    print(f"\nGeometric mean of the {len(logs)}: {mean:.3f} ({low:.3f} - {high:.3f}).")
    asked = [one for one in found if one.hpa_cost <= REACHABLE]
    kept = [one.name for one in asked if one.ours.violations <= ALLOWED]
    broken = ", ".join(sorted({one.name for one in asked} - set(kept))) or "none"
    print(f"The objective is kept on {len(kept)} of {len(asked)}; not on: {broken}.")


def _resampled(ours: FloatArray, hpas: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the ratio of costs over resampled time: blocks of a day, paired, by their begin."""
    length = min(24, max(len(ours) // 8, 1))
    blocks = math.ceil(len(ours) / length)
    begins = rng.integers(0, len(ours) - length + 1, (RESAMPLED, blocks, 1))
    hours = (begins + np.arange(length)).reshape(RESAMPLED, -1)
    return np.asarray(ours[hours].sum(axis=1) / hpas[hours].sum(axis=1))

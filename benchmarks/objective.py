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
from benchmarks.by_kind import KindFigures, kind_figures, print_by_kind
from benchmarks.objective_tables import Reached, TraceFigure, print_figures, print_offsets
from benchmarks.prophet_scaler import require_prophet
from benchmarks.replay import (
    ALLOWED,
    STABILIZATIONS_S,
    TARGETS,
    season_strength,
    service_of,
)
from benchmarks.traces import ONE_MINUTE, load
from forecaster.data.series import History, Series
from forecaster.models.forecaster import Forecaster
from scaler.decision.days import day_of
from scaler.decision.lead_demand import ForecastReader
from scaler.decision.objective import Objective, ReviewRules
from scaler.decision.review import Review
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
from scaler.simulation.preparation import ReplayPart, prepared, restaged
from scaler.simulation.review import PastDays, Subject, reviewed
from scaler.simulation.world import Run, SimulatedService

START_UPS_S = (30.0, 90.0, 300.0)
QUARTERS = (0.25, 0.5, 0.75)
# Of a short history, enough to calibrate on.
EARLY_CONFIG = replace(CONFIG, calibration_share=0.2, test_share=0.05)
OBJECTIVE = Objective(violations=ALLOWED)
# README's table, and KEDA's offset queries, are of this one.
USUAL_START_UP_S = 90.0


def objective(traces: Path) -> None:
    """Ten one-minute traces by settings chosen walk-forward, at three start-up times."""
    require_prophet()
    tasks = staged(traces)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = [one for part in pool.map(walk, tasks) for one in part]
        usual = [one for one in found if one.start_up_s == USUAL_START_UP_S]
        rivals = list(pool.map(beside, tasks, usual))
    print_all(found, rivals)


def print_all(found: Sequence[TraceFigure], rivals: Sequence[RivalFigures]) -> None:
    """Print all tables; ``rivals`` are beside the usual start-up time."""
    for start_up_s in START_UPS_S:
        print_figures([one for one in found if one.start_up_s == start_up_s], start_up_s)
    usual = [one for one in found if one.start_up_s == USUAL_START_UP_S]
    print_offsets([(one, rival.offset) for one, rival in zip(usual, rivals, strict=True)])
    print_by_kind([rival.by_kind for rival in rivals])
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

    @property
    def part(self) -> ReplayPart:
        """What is replayed."""
        start = self.series.start + self.first * self.series.step
        return ReplayPart(start, skip_gaps=True)


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
    policy, hpa = service_of(series, series.values[:first])
    return Subject(policy, ReplaySettings(hpa), task.forecasters)


def walk(task: WalkTask) -> list[TraceFigure]:
    """Return what a trace comes to at each start-up time."""
    series, subject = task.series, subject_of(task)
    newest, part = task.forecasters[0], task.part
    start = part.start
    assert start is not None, "the last quarter has a begin"
    given = ContestJob(TIDEGATE, subject.policy.tuning.target_utilization)
    judged = prepared(series, subject.policy, subject.settings, newest, part)
    days = PastDays(subject, series)
    found = []
    for start_up_s in START_UPS_S:
        begun = time.perf_counter()
        settings = replace(subject.settings, start_up_s=start_up_s)
        setting = restaged(judged, settings)
        walker = Walker(setting, days.under(settings), start)
        walked = run(setting.scene, walker, SimulatedService(setting.scene, setting.net))
        ours = _reached(setting, walked, str(walker.review.choice.tuning))
        found.append(
            TraceFigure(
                series.item_id,
                start_up_s,
                _reached(setting, carried_out(setting, ContestJob(CLAIRVOYANT, 1.0))[0], ""),
                ours,
                _reached(setting, carried_out(setting, given)[0], "given"),
                best_rival(setting, (HPA,), ALLOWED),
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
    """tidegate under settings that it reviews each midnight; a contender."""

    name = TIDEGATE

    def __init__(self, setting: ContestSetting, days: PastDays, start: datetime) -> None:
        self._days, self._policy = days, setting.policy
        self._rules = ReviewRules(OBJECTIVE, setting.policy.tuning, setting.capacity_qps * 3600)
        self.seconds: list[float] = []
        self.said: list[str] = []
        self.review = self._reviewed(None, day_of(start.timestamp()))
        reader = ForecastReader(setting.ours, block=ROWS_AT_ONCE)
        tick_s = setting.scene.timing.tick_s
        self._who = TidegateContender(TIDEGATE, self._chosen(), setting.samples, reader, tick_s)

    def _reviewed(self, before: Review | None, today: int) -> Review:
        begun = time.perf_counter()
        review = reviewed(self._days, self._rules, before, today)
        self.seconds.append(time.perf_counter() - begun)
        choice = review.choice
        self.said.append(f"{choice.tuning} ({choice.reason.value})")
        return review

    def _chosen(self) -> Policy:
        return self._policy.tuned(self.review.choice.tuning)

    def decide(self, tick: int, now: float, service: SimulatedService) -> float:
        today = day_of(now)
        if today > self.review.reviewed:
            self.review = self._reviewed(self.review, today)
            self._who.follow_policy(self._chosen())
        return self._who.decide(tick, now, service)


@dataclass(frozen=True)
class RivalFigures:
    """What rivals come to on one trace; ``offset`` None: with none does KEDA break so little."""

    offset: Reached | None
    by_kind: KindFigures


def beside(task: WalkTask, ours: TraceFigure) -> RivalFigures:
    """Return what rivals come to on the trace on which we came to that."""
    series, subject = task.series, subject_of(task)
    settings = replace(subject.settings, start_up_s=ours.start_up_s)
    setting = prepared(series, subject.policy, settings, None, task.part)
    season = season_strength(series)
    return RivalFigures(
        best_rival(setting, tuple(OFFSETS), ours.ours.violations),
        kind_figures(series.item_id, season, setting, (ours.ours.hours, ours.ours.violations)),
    )


def best_rival(setting: ContestSetting, families: Sequence[str], allowed: float) -> Reached | None:
    """Return the cheapest that breaks so little on the very time that is replayed."""
    found = []
    for family, target, stabilization_s in itertools.product(families, TARGETS, STABILIZATIONS_S):
        down = replace(setting.hpa.down, stabilization_s=stabilization_s)
        one = replace(setting, hpa=replace(setting.hpa, scale_down=down))
        done = carried_out(one, ContestJob(family, target))[0]
        name = "" if len(families) == 1 else f"{family}, "
        found.append(_reached(one, done, f"{name}{target:g}, {stabilization_s:.0f} s"))
    within = [one for one in found if one.violations <= allowed]
    return min(within, key=lambda one: one.hours, default=None)


def _reached(setting: ContestSetting, done: Run, settings: str) -> Reached:
    per_hour = round(3600 / setting.scene.timing.tick_s)
    padded = np.pad(done.replicas, (0, -len(done.replicas) % per_hour))
    hourly = padded.reshape(-1, per_hour).sum(axis=1) * setting.scene.timing.tick_s / 3600
    return Reached(hourly, outcome(setting.scene, done).violations, settings)

"""A generated service whose day repeats, its last day in replay, and what may go wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np

from forecaster.data.series import Series
from forecaster.data.synthetic import MONDAY, SERVICES, generate
from forecaster.evaluation.rolling import rolling_baseline
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.replicas import ScalePolicy
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contenders import AutoscalerAlone, TidegateContender, run
from scaler.simulation.contest import HPA, TIDEGATE, ContestJob, ContestSetting, carried_out
from scaler.simulation.outcome import ReplayOutcome, outcome
from scaler.simulation.preparation import ReplayPart, prepared
from scaler.simulation.world import Run, SimulatedService

DAYS = 6
LAST_DAY = 1440  # samples of a minute
TARGET = 0.95
# The busiest minute takes 40 replicas at 0.8 of their capacity.
PEAK_REPLICAS, PEAK_TARGET = 40, 0.8
OBJECTIVE_LEFT = 0.001


@cache
def quiet_service() -> Series:
    """Return six days at a minute: a day's wave, a drifting level, Poisson noise, no events."""
    spec = replace(SERVICES[0], promotions=0.0, flash_crowds=0.0, deploys=0.0, outages=0.0)
    return generate((spec,), MONDAY, timedelta(days=DAYS), seed=1).history.series[0]


CAPACITY_QPS = float(quiet_service().values.max()) / (PEAK_REPLICAS * PEAK_TARGET)


def replayed(
    change: Callable[[np.ndarray], np.ndarray] = lambda day: day,
    *,
    events: tuple[AnnouncedEvent, ...] = (),
    skip_gaps: bool = False,
) -> ContestSetting:
    """Return the last day after ``change`` of it, forecast by Holt-Winters; the HPA is at 0.6."""
    quiet = quiet_service()
    day = change(quiet.values[-LAST_DAY:].copy())
    series = replace(quiet, values=np.concatenate([quiet.values[:-LAST_DAY], day]))
    policy = Policy(
        item_id=series.item_id,
        target="web",
        scale=ScalePolicy(2, 100, TARGET),
        capacity_qps=CAPACITY_QPS,
        events=events,
    )
    part = ReplayPart(series.end - timedelta(days=1), skip_gaps)
    return prepared(series, policy, ReplaySettings(), None, part)


def told_wrong(setting: ContestSetting, factor: float) -> ContestSetting:
    """Return the quiet day with a forecast that is wrong by a factor, always."""
    quiet = quiet_service()
    origins = np.arange(len(quiet) - LAST_DAY - 2, len(quiet) - 1)
    right = rolling_baseline("holt_winters", quiet, origins, 30)
    return replace(setting, ours=replace(right, values=right.values * factor))


def came_to(setting: ContestSetting, done: Run) -> ReplayOutcome:
    return outcome(setting.scene, done)


def tidegate(setting: ContestSetting) -> Run:
    return tidegate_and_its_decisions(setting)[0]


def tidegate_and_its_decisions(setting: ContestSetting) -> tuple[Run, TidegateContender]:
    done, who = carried_out(setting, ContestJob(TIDEGATE, TARGET))
    assert isinstance(who, TidegateContender)
    return done, who


def hpa(setting: ContestSetting) -> Run:
    return carried_out(setting, ContestJob(HPA, setting.own_target))[0]


def net(setting: ContestSetting) -> Run:
    """Return the autoscaler under tidegate's floor, left alone."""
    service = SimulatedService(setting.scene, setting.net)
    service.floor = setting.net.min_replicas
    return run(setting.scene, AutoscalerAlone("net"), service)

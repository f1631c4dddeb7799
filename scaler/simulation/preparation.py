"""From a recorded history and a policy to a setting in which contenders can be compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from forecaster.data.series import FloatArray, Forecast, Series
from forecaster.evaluation.rolling import rolling_baseline, rolling_forecast
from forecaster.models.forecaster import Forecaster
from scaler.decision.hold import LowSpell, is_implausible, is_over, updated_spell
from scaler.decision.seasonal_low import HalfHours, seasonal_lows
from scaler.errors import ReplayError
from scaler.hpa.aim import share_of
from scaler.hpa.controller import HPASpec
from scaler.hpa.net import NET_STABILIZATION_S, net_under  # noqa: F401 - at its old path, too
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings, WorldTiming, plain_hpa
from scaler.simulation.contest import ContestSetting
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.world import Scene

# Of the history where no model says what it has seen: the last part is replayed.
REPLAYED_SHARE = 0.25
SMOOTHING = "holt_winters"
HORIZON = timedelta(minutes=30)  # of forecasts; a longer gap is too long to be stepped over
# Demand that the replicas at the first tick are enough for: nobody could ask for them in time.
LOOK_S = 180.0
# Samples whose seasonal lows are found at once.
_AT_ONCE = 1024


@dataclass(frozen=True, eq=False, slots=True)
class ReplayPart:
    """Which part of a history is replayed, and how a gap in it is taken.

    ``start`` None: what the model has not seen, or the last quarter. Nothing is counted while
    demand is not known; ``skip_gaps`` takes long gaps, too. ``marks`` are above 0 where the
    policy's ``mask_query`` marks a sample of the history; None: nowhere. ``rivals``: whether
    Holt-Winters' forecast is made beside the model's, for a contender that has no other.
    """

    start: datetime | None = None
    skip_gaps: bool = False
    marks: FloatArray | None = None
    rivals: bool = True


def prepared(
    series: Series,
    policy: Policy,
    settings: ReplaySettings,
    forecaster: Forecaster | None,
    part: ReplayPart,
) -> ContestSetting:
    """Return the setting of a replay.

    Args:
        series: all of the history; what lies before the replay is what forecasts rest on.
        policy: of the service.
        settings: the user's autoscaler, how the service behaves, and how late it is seen.
        forecaster: None: tidegate forecasts by Holt-Winters.
        part: what to replay.

    Raises:
        ReplayError: the history ends before the replay or has gaps in it, or the policy does not
            say what a replica sustains.
        HistoryError: too little lies before the replay to forecast from.
    """
    staged = scene_of(series, policy, settings, forecaster, part)
    scene, first = staged.scene, staged.first
    hpa = settings.hpa or plain_hpa(policy)
    # The first tick is when the sample before the first one ends; queries know the one before that.
    unseen = math.ceil(scene.timing.query_delay_s / series.step.total_seconds())
    origins = np.arange(first - 1 - unseen, len(series) - 1)
    samples = RecordedSamples(series, int(origins[0]), scene, part.marks)
    learned = replace(series, values=samples.unmarked)
    learned = _forecast_from(learned, first, policy)
    smoothing = _smoothed(learned, origins) if forecaster is None or part.rivals else None
    ours = smoothing if forecaster is None else rolling_forecast(forecaster, learned, origins)
    assert ours is not None, "without a model Holt-Winters forecasts"
    net = net_under(hpa, scene.model.capacity_qps)
    return ContestSetting(scene, hpa, net, policy, samples, ours, smoothing)


def restaged(setting: ContestSetting, settings: ReplaySettings) -> ContestSetting:
    """Return a setting of the same time and forecasts in which the service behaves otherwise.

    Args:
        setting: of any replay.
        settings: how the service behaves and how late it is seen; the autoscaler stays.
    """
    scene, policy, step_s = setting.scene, setting.policy, setting.samples.step_s
    timing = _timing(settings.timing, setting.samples.series)
    by_step = scene.demand[:: round(step_s / scene.timing.tick_s)]
    other = replace(
        scene,
        demand=np.repeat(by_step, round(step_s / timing.tick_s)),
        model=settings.service_model(policy.slo, setting.capacity_qps),
        timing=timing,
    )
    return replace(setting, scene=other, samples=setting.samples.seen_from(other))


class Staged(NamedTuple):
    """A scene, and the sample of the history with which it begins."""

    scene: Scene
    first: int


def scene_of(
    series: Series,
    policy: Policy,
    settings: ReplaySettings,
    forecaster: Forecaster | None,
    part: ReplayPart,
) -> Staged:
    """Return what all contenders face in a replay; see `prepared`."""
    capacity = capacity_of(policy)
    first = _first(series, forecaster, part)
    known = _known(series, first, part)
    model = settings.service_model(policy.slo, capacity)
    hpa = settings.hpa or plain_hpa(policy)
    step_s, timing = series.step.total_seconds(), _timing(settings.timing, series)
    replicas = _replicas_at_start(known, math.ceil(LOOK_S / step_s), capacity, hpa)
    start = float(series.stamps[first]) - step_s
    demand = np.repeat(known, round(step_s / timing.tick_s))
    return Staged(Scene(start, demand, model, replicas, timing), first)


def capacity_of(policy: Policy) -> float:
    """Return what a replica sustains; raises ReplayError where the policy does not say it."""
    if policy.capacity_qps is None:
        raise ReplayError(
            f"{policy.item_id}: spec.capacity.requestsPerReplica is not given, and demand alone "
            "does not tell what a replica sustains; give it in the policy or by --capacity"
        )
    return policy.capacity_qps


def _timing(timing: WorldTiming, series: Series) -> WorldTiming:
    """Return the timing with a tick that divides the step of the history."""
    step_s = series.step.total_seconds()
    return replace(timing, tick_s=step_s / max(round(step_s / timing.tick_s), 1))


def _first(series: Series, forecaster: Forecaster | None, part: ReplayPart) -> int:
    """Return the sample with which the replay begins."""
    seen = forecaster.item_model(series.item_id).trained_until if forecaster else None
    start = part.start or seen
    if start is None:
        return round(len(series) * (1 - REPLAYED_SHARE))
    if start >= series.end - series.step:
        source = "asked for" if part.start else "the first moment that the model has not seen"
        raise ReplayError(
            f"{series.item_id}: the history ends at {series.end}, but the replay would start at "
            f"{start} ({source}); give it later history, or an earlier --from"
        )
    return max(-((series.start - start) // series.step), 2)


def gaps(values: FloatArray) -> list[tuple[int, int]]:
    """Return ``(begin, end)`` of every run of values that are not known.

    >>> gaps(np.array([math.nan, math.nan, 1.0, math.nan]))
    [(0, 2), (3, 4)]
    """
    edges = np.diff(np.concatenate(([0], np.isnan(values), [0])))
    starts, ends = (np.flatnonzero(edges == side).tolist() for side in (1, -1))
    return list(zip(starts, ends, strict=True))


def _known(series: Series, first: int, part: ReplayPart) -> FloatArray:
    """Return the demand that is replayed."""
    values = series.values[first:]
    if np.isnan(values).all():
        raise ReplayError(f"{series.item_id}: nothing is known of the time that is to be replayed")
    for begin, end in gaps(values):
        length = (end - begin) * series.step
        if length > max(HORIZON, series.step) and not part.skip_gaps:
            at = series.start + (first + begin) * series.step
            raise ReplayError(
                f"{series.item_id}: the history has a gap of {length} in what is to be replayed: "
                f"{end - begin} of {len(values)} samples are missing from {at} on. Only gaps of up "
                f"to {HORIZON} are stepped over; start after it by --from, end before it by --to, "
                "or count nothing while demand is not known by --skip-gaps"
            )
    return values


def _forecast_from(series: Series, first: int, policy: Policy) -> Series:
    """Return what is forecast from: from ``first`` on, without what is implausibly low.

    The loop leaves samples out tick by tick; here it is done sample by sample.
    """
    half_hours, values = HalfHours.of(series.step), series.values.copy()
    history = values.astype(np.float32)
    spell: LowSpell | None = None
    for place, stamp in zip(range(first, len(values)), series.stamps[first:].tolist(), strict=True):
        if (place - first) % _AT_ONCE == 0:
            places = np.arange(place, min(place + _AT_ONCE, len(values)))
            later = half_hours.later(policy.timezone, series.stamps[places])
            lows = iter(seasonal_lows(half_hours.before(history, places, later)).tolist())
        low, qps = next(lows), float(values[place])
        spell = updated_spell(spell, qps, low, stamp)
        if is_implausible(qps, low) and not is_over(spell, policy.hold, stamp):
            values[place] = history[place] = np.nan
    return replace(series, values=values)


def _smoothed(series: Series, origins: np.ndarray) -> Forecast:
    """Return what Holt-Winters says at each origin."""
    return rolling_baseline(SMOOTHING, series, origins, max(HORIZON // series.step, 1))


def _replicas_at_start(
    known: FloatArray, lead_steps: int, capacity_qps: float, hpa: HPASpec
) -> int:
    """Return the replicas at the start, alike for all: enough for the first lead time.

    What happens before a replica asked for at the first tick is warm, no contender can change.
    """
    first = known[: lead_steps + 1]
    demand = float(np.nanmax(first)) if np.isfinite(first).any() else 0.0
    share = min(share_of(hpa, capacity_qps), 1.0)
    wanted = math.ceil(demand / (capacity_qps * share))
    return min(max(wanted, hpa.min_replicas), hpa.max_replicas)

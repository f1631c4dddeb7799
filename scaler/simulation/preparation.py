"""From a recorded history and a policy to a setting in which contenders can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from forecaster.data.series import FloatArray, Forecast, Series
from forecaster.evaluation.rolling import rolling_baseline, rolling_forecast
from forecaster.models.forecaster import Forecaster
from scaler.decision.capacity import given_capacity
from scaler.decision.decide import DecisionSettings
from scaler.decision.demand import AnnouncedEvent, unforeseeable
from scaler.errors import ReplayError
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings, plain_hpa
from scaler.policy.service_model import ServiceModel
from scaler.simulation.closed_loop import Scene
from scaler.simulation.contest import ContestSetting
from scaler.simulation.rehearsal import LoopTiming, Reach, rehearse

TICK_S = 15.0
# Of the history where no model says what it has seen: the last part is replayed.
REPLAYED_SHARE = 0.25
SMOOTHING = "holt_winters"
HORIZON = timedelta(minutes=30)
LATE = 1.645  # standard deviations: 95 % of start-up times are shorter
# The autoscaler under tidegate's floor may follow it down: with the usual tolerance of 10 % and
# five minutes of stabilization it would hold what the floor has let go.
NET_STABILIZATION_S = 60.0


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """Which part of a history is replayed, and how a gap in it is taken.

    ``start`` None: what the model has not seen, or the last quarter; ``skip_gaps`` counts nothing
    while demand is not known.
    """

    start: datetime | None = None
    skip_gaps: bool = False


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
        settings: the user's autoscaler, and how the service behaves.
        forecaster: None: tidegate forecasts by Holt-Winters.
        part: what to replay.

    Raises:
        ReplayError: the history ends before the replay or has gaps in it, or the policy does not
            say what a replica sustains.
        HistoryError: too little lies before the replay to forecast from.
    """
    capacity = policy.capacity_qps
    if capacity is None:
        raise ReplayError(
            f"{policy.item_id}: spec.capacity.requestsPerReplica is not given, and demand alone "
            "does not tell what a replica sustains; give it in the policy or by --capacity"
        )
    first = _first(series, forecaster, part)
    known = _known(series, first, part)
    model = settings.service_model(policy.slo, capacity)
    timing = _timing(series, first)
    lead = policy.lead_s if policy.lead_s is not None else lead_of(model, timing.tick_s)
    hpa = settings.hpa or plain_hpa(policy)
    # The first tick needs a forecast whose last sample had been collected by then.
    late = math.ceil(timing.delay_s / series.step.total_seconds())
    origins = np.arange(first - 1 - late, len(series) - 1)
    happened, reach = _judging(series, policy.events)[origins], Reach(lead, policy.payback_s)
    rehearsals = [
        rehearse(forecast, happened, timing, reach, policy.trust)
        for forecast in _forecasts(series, origins, forecaster)
    ]
    decided = DecisionSettings(
        given_capacity(capacity), policy.scale, policy.limit, lead, policy.events
    )
    demand = np.repeat(known, timing.ticks // len(known))
    lead_steps = math.ceil(lead / series.step.total_seconds())
    replicas = _replicas_at_start(known, lead_steps, capacity, hpa)
    scene = Scene(timing, demand, model, replicas)
    return ContestSetting(
        scene, hpa, net_under(hpa, capacity), decided, rehearsals[-1], rehearsals[0]
    )


def _timing(series: Series, first: int) -> LoopTiming:
    """Return the ticks from sample ``first`` to the end; a sample is the mean up to its stamp."""
    step_s = series.step.total_seconds()
    per_step = max(round(step_s / TICK_S), 1)
    start = float(series.stamps[first]) - step_s
    return LoopTiming(start, ticks=(len(series) - first) * per_step, tick_s=step_s / per_step)


def lead_of(model: ServiceModel, tick_s: float) -> float:
    """Return the time until a replica that is asked for now is warm, for 95 % of them.

    One tick passes until the autoscaler has seen the new floor.

    >>> round(lead_of(ServiceModel(100.0), 15.0))
    151
    """
    start_up = model.start_up_s * math.exp(LATE * model.start_up_spread)
    return start_up + model.ramp_s + tick_s


def net_under(hpa: HPASpec, capacity_qps: float) -> HPASpec:
    """Return the user's autoscaler as tidegate asks for it: a net, its target at the capacity."""
    utilization = hpa.metric is MetricKind.UTILIZATION
    down = replace(hpa.scale_down, tolerance=0.0, stabilization_s=NET_STABILIZATION_S)
    return replace(hpa, target=1.0 if utilization else capacity_qps, scale_down=down)


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


def _known(series: Series, first: int, part: ReplayPart) -> FloatArray:
    """Return the demand that is replayed."""
    values = series.values[first:]
    gaps = np.flatnonzero(np.isnan(values))
    if len(gaps) == len(values):
        raise ReplayError(f"{series.item_id}: nothing is known of the time that is to be replayed")
    if len(gaps) and not part.skip_gaps:
        at = series.start + (first + int(gaps[0])) * series.step
        raise ReplayError(
            f"{series.item_id}: the history has a gap in what is to be replayed: {len(gaps)} of "
            f"{len(values)} samples are missing, the first at {at}; start after it by --from, or "
            "count nothing while demand is not known by --skip-gaps"
        )
    return values


def _judging(series: Series, events: Sequence[AnnouncedEvent]) -> FloatArray:
    """Return the demand by which the forecast is judged: not that of an event's onset and end.

    It could not know what the operator did; the policy provides for that.
    """
    return np.where(unforeseeable(events, series.stamps), np.nan, series.values)


def _forecasts(
    series: Series, origins: np.ndarray, forecaster: Forecaster | None
) -> Sequence[Forecast]:
    """Return what Holt-Winters says, and what the model does where there is one."""
    ahead = max(HORIZON // series.step, 1)
    smoothing = rolling_baseline(SMOOTHING, series, origins, ahead)
    if forecaster is None:
        return [smoothing]
    return [smoothing, rolling_forecast(forecaster, series, origins)]


def _replicas_at_start(
    known: FloatArray, lead_steps: int, capacity_qps: float, hpa: HPASpec
) -> int:
    """Return the replicas at the start, alike for all: enough for the first lead time.

    What happens before a replica asked for at the first tick is warm, no contender can change.
    """
    first = known[: lead_steps + 1]
    demand = float(np.nanmax(first)) if np.isfinite(first).any() else 0.0
    target = hpa.target if hpa.metric is MetricKind.UTILIZATION else hpa.target / capacity_qps
    wanted = math.ceil(demand / (capacity_qps * min(target, 1.0)))
    return min(max(wanted, hpa.min_replicas), hpa.max_replicas)

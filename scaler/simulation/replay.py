"""The replay as one call, for notebooks; `scaler replay` makes the same two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from forecaster.data.series import History, Series
from forecaster.models.forecaster import Forecaster
from scaler.errors import ReplayError
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contest import TARGETS, Contest, contest
from scaler.simulation.preparation import ReplayPart, prepared


def replay(
    history: History | Series,
    policy: Policy,
    settings: ReplaySettings | None = None,
    forecaster: Forecaster | None = None,
    *,
    start: datetime | None = None,
    targets: Sequence[float] = TARGETS,
) -> Contest:
    """Return how a policy does on a recorded history, beside other autoscalers.

    Args:
        history: all of it, or one series; what lies before ``start`` is what forecasts rest on.
        policy: of the service.
        settings: the user's autoscaler, and how the service behaves; None: the defaults.
        forecaster: None: tidegate forecasts by Holt-Winters.
        start: of the part that is replayed; None: what the model has not seen, or the last quarter.
        targets: of the frontier, as shares of a replica's capacity; empty: no frontier.

    Raises:
        ReplayError: the history holds no item of the policy, ends before the replay or has gaps in
            it, or the policy does not say what a replica sustains.
        HistoryError: too little lies before the replay to forecast from.
    """
    series = history if isinstance(history, Series) else series_of(history, policy, forecaster)
    prepared_setting = prepared(
        series, policy, settings or ReplaySettings(), forecaster, ReplayPart(start)
    )
    return contest(prepared_setting, targets=targets)


def series_of(history: History, policy: Policy, forecaster: Forecaster | None) -> Series:
    """Return the item that a policy is of, at the step of the model and in the policy's zone.

    Raises:
        ReplayError: the history does not hold it.
        HistoryError: its step is longer than the model's.
    """
    if policy.item_id not in history.item_ids:
        near = ", ".join(history.item_ids[:8])
        raise ReplayError(
            f"the history holds no item {policy.item_id!r}, which the policy is of; it holds {near}"
        )
    series = history[policy.item_id]
    if policy.timezone is not None:
        series = replace(series, timezone=policy.timezone)
    if forecaster is not None and series.step != forecaster.model.step:
        series = series.resampled(forecaster.model.step)
    return series

"""What came of a forecast, once its lead time is over."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scaler.control.memory import PendingForecast
from scaler.decision.demand import SETTLED_S, is_unforeseeable
from scaler.decision.quantiles import surprisal
from scaler.decision.trust import ForecastOutcome
from scaler.policy.policy import Policy


def outcome_of(
    pending: PendingForecast, samples: Mapping[float, float], policy: Policy, step_s: float
) -> ForecastOutcome:
    """Return what is judged of a forecast: nothing of what no forecast can foresee.

    Args:
        pending: what it said.
        samples: QPS that were observed, by their stamps.
        policy: whose events nobody can foresee.
        step_s: between two samples.
    """
    forecast, steps = pending.lead_forecast, pending.lead_forecast.step_range
    stamps = [pending.origin + (h + 1) * step_s for h in range(steps.first, steps.last + 1)]
    events = policy.events_after(stamps[0] - SETTLED_S)
    happened = [
        math.nan if is_unforeseeable(events, stamp) else samples.get(stamp, math.nan)
        for stamp in stamps
    ]
    largest = math.nan if any(map(math.isnan, happened)) else max(happened)
    return ForecastOutcome(
        steps.count,
        surprisal(forecast.step_quantiles, forecast.levels, largest),
        forecast.lead_demand.lead_qps,
        forecast.judged_qps,
        pending.last_qps,
        largest,
    )

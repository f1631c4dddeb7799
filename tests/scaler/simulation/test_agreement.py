"""What is replayed is what runs: the whole control loop and the replay, tick by tick the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.agreement import differences, in_the_replay, shortened
from forecaster.data.local_clock import utc_offsets
from forecaster.data.synthetic import generate_history
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.hold import HoldRules
from scaler.decision.limit import Ramp
from scaler.decision.replicas import ScalePolicy
from scaler.decision.trust import TrustRules
from scaler.policy.policy import Policy, Slo
from scaler.policy.replay_settings import ReplaySettings, WorldTiming
from scaler.simulation.preparation import ReplayPart, prepared


@pytest.fixture(scope="module")
def series():
    return generate_history(1, 8, seed=5).history.series[0]


def setting_of(series, ticks, settings=None, marks=None, **policy):
    capacity = float(np.nanmax(series.values)) / 40
    plain = Policy(
        item_id=series.item_id, target="web", scale=ScalePolicy(2, 200), capacity_qps=capacity
    )
    part = ReplayPart(series.end - timedelta(days=1), skip_gaps=True, marks=marks)
    made = prepared(series, replace(plain, **policy), settings or ReplaySettings(), None, part)
    return shortened(made, ticks)


def with_gaps(series):
    values = series.values.copy()
    values[-1300:-1250] = np.nan
    values[-1250:-1245] *= np.linspace(0.1, 0.9, 5)  # a rate reaches back into the gap
    return replace(series, values=values)


def sale(series):
    start = series.stamps[-1200]
    return (AnnouncedEvent("sale", float(start), float(start + 3600), multiplier=2.0),)


def ticks(quick: int, whole: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("count", [quick, pytest.param(whole, marks=pytest.mark.nightly)])


@ticks(400, 2500)
def test_the_default_policy_does_the_same_in_both(series, count):
    assert differences(series, setting_of(series, count)) == (count, [])


@ticks(500, 1500)
def test_with_gaps_an_event_feedback_and_cold_pods_it_does_too(series, count):
    series = with_gaps(series)
    setting = setting_of(
        series,
        count,
        events=sale(series),
        slo=Slo(query="p99"),
        ramp=Ramp(60.0, 0.3),
        trust=TrustRules(risk=0.01),
    )
    assert differences(series, setting) == (count, [])
    reasons = {tick.limit for tick in in_the_replay(setting)}
    assert "overload" in reasons or count < 1500  # the feedback was at work


@ticks(300, 1000)
def test_however_late_the_world_is_seen_it_does_too(series, count):
    timing = WorldTiming(scrape_s=30.0, rate_window_s=120.0, query_delay_s=20.0, watch_lag_s=10.0)
    setting = setting_of(series, count, ReplaySettings(timing=timing, start_up_spread=0.5))
    assert differences(series, setting) == (count, [])


def test_a_policy_that_differs_in_anything_is_told_apart(series):
    """So the comparison can fail."""
    setting = setting_of(series, 200)
    other = replace(setting, policy=replace(setting.policy, trust=TrustRules(risk=0.2)))
    assert in_the_replay(setting) != in_the_replay(other)


def test_in_an_outage_upstream_it_does_too(series):
    values = series.values.copy()
    values[-1400:-1340] *= 0.03
    series = replace(series, values=values)
    setting = setting_of(series, 600, hold=HoldRules(for_s=2400.0))
    assert differences(series, setting) == (600, [])
    assert "held" in {tick.demand for tick in in_the_replay(setting)}


@pytest.mark.parametrize("hours", [2, 26], ids="marked for {} hours".format)
def test_in_what_a_mask_query_marks_it_does_too(series, hours):
    """It begins before the replay does, and comes once more; demand falls to a half in it."""
    values, marks = series.values.copy(), np.full(len(series), np.nan)
    for begin, end in ((-1410 - 60 * hours, -1410), (-1380, -1350), (-4000, -3900)):
        marks[begin:end], values[begin:end] = 1.0, 0.5 * values[begin:end]
    marked = replace(series, values=values)
    setting = setting_of(marked, 500, marks=marks, mask_query="recorded incidents")
    assert differences(marked, setting) == (500, [])
    unmarked = setting_of(marked, 500)
    assert in_the_replay(setting) != in_the_replay(unmarked)


def test_after_a_change_of_the_clocks_it_does_too(series):
    """It ends on the day after the clocks are set back in Berlin; less comes until eight there."""
    moved = replace(series, start=datetime(2026, 10, 18, 12, tzinfo=UTC))
    hour = (moved.stamps + utc_offsets("Europe/Berlin", moved.stamps)) % 86_400 / 3600
    moved = replace(moved, values=np.where((hour > 14) & (hour < 20), 1.0, 0.1) * moved.values)
    local, plain = (setting_of(moved, 600, timezone=zone) for zone in ("Europe/Berlin", None))
    assert differences(moved, local) == (600, [])
    held = [sum(one.demand == "held" for one in in_the_replay(of)) for of in (local, plain)]
    assert held[0] == 0 < held[1]

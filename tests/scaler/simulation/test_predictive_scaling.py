"""Predictive scaling: what is scheduled for which hour, and when, and that it reads the past."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contenders import ScheduledFloor, run
from scaler.simulation.contest import HPA, PREDICTIVE, ContestJob, carried_out
from scaler.simulation.predictive_scaling import scheduled_qps
from scaler.simulation.preparation import ReplayPart, prepared
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.world import SimulatedService
from tests.scaler.simulation.replay_samples import MINUTE, policy_of, scene, wave

PLAIN = ReplaySettings(start_up_spread=0.0)
HOUR_TICKS = 240  # of 15 s


def by_the_hour(stamps):
    """Return the demand of a day whose hours ask for 100, 200, ... 2,400 QPS."""
    return 100.0 * ((stamps - 1) // 3600 % 24 + 1)


def recorded(days: float, *, hours: float = 12.0, step: timedelta = MINUTE, values=by_the_hour):
    """Return the samples and the scene of the last hours of a recording that begins at midnight."""
    series = wave(days, step=step)
    series = replace(series, start=series.start + step)  # a sample is the mean up to its stamp
    series = replace(series, values=values(series.stamps))
    first = len(series) - round(timedelta(hours=hours) / step)
    start = series.stamps[first] - step.total_seconds()
    one = scene(np.zeros(round(hours * HOUR_TICKS)), 1)
    one = replace(one, start=float(start))
    return RecordedSamples(series, first, one), one


@pytest.mark.parametrize("step", [MINUTE, timedelta(minutes=5), timedelta(hours=1)])
def test_each_hour_has_its_mean_of_the_days_before_from_five_minutes_before_it_on(step):
    samples, one = recorded(3.0, step=step)  # replayed from noon on
    scheduled = scheduled_qps(samples, one)
    buffer = 300 // 15
    for tick in range(0, one.ticks - HOUR_TICKS, 7):
        hour = 12 + (tick + buffer) // HOUR_TICKS
        assert scheduled[tick] == pytest.approx(100.0 * (hour + 1), rel=1e-5)


def test_where_less_comes_the_next_hour_what_is_scheduled_for_this_one_stands_to_its_end():
    samples, one = recorded(3.0, values=lambda stamps: 2500.0 - by_the_hour(stamps))
    scheduled = scheduled_qps(samples, one)
    assert scheduled[HOUR_TICKS - 1] == pytest.approx(1200.0, rel=1e-5)
    assert scheduled[HOUR_TICKS] == pytest.approx(1100.0, rel=1e-5)


@pytest.mark.parametrize(
    ("days", "holed_h", "first"),
    [
        pytest.param(1.0, 0, 12 * HOUR_TICKS, id="18 hours at the only renewal: never"),
        pytest.param(1.25, 0, 6 * HOUR_TICKS + 1, id="a day at the renewal, once it is known"),
        pytest.param(1.5, 0, 1, id="a day with the first tick"),
        pytest.param(1.75, 0, 0, id="a day at the renewal before the replay"),
        pytest.param(2.0, 13, 6 * HOUR_TICKS + 1, id="hours without a sample do not count"),
    ],
)
def test_a_day_must_be_known_before_anything_is_scheduled(days, holed_h, first):
    def holed(stamps):
        return np.where(stamps <= stamps[0] + 3600 * holed_h - 60, np.nan, by_the_hour(stamps))

    scheduled = scheduled_qps(*recorded(days, values=holed))
    assert np.flatnonzero(np.isfinite(scheduled)).tolist() == [*range(first, len(scheduled))]


def test_it_is_renewed_every_six_hours_and_not_in_between():
    """From 13:00 of the last day on, ten times as much comes."""

    def grown(stamps):
        last = stamps[-1] - 11 * 3600
        return np.where(stamps > last, 10.0, 1.0) * by_the_hour(stamps)

    usual, other = (scheduled_qps(*recorded(3.0, values=values)) for values in (by_the_hour, grown))
    renewal = 6 * HOUR_TICKS
    assert other[:renewal].tolist() == usual[:renewal].tolist()
    assert (other[renewal + 10 :] > 1.5 * usual[renewal + 10 :]).all()


def test_it_looks_back_for_fourteen_days():
    def other_first_day(stamps):
        return np.where(stamps <= stamps[0] + 86_400, 1e6, by_the_hour(stamps))

    for days, alike in ((15.6, True), (14.6, False)):
        usual, other = (
            scheduled_qps(*recorded(days, hours=6.0, values=values))
            for values in (by_the_hour, other_first_day)
        )
        assert np.allclose(usual, other) == alike


@pytest.mark.parametrize("days", [2.0, 3.3])
@given(tick=st.integers(0, 12 * HOUR_TICKS - 1), seed=st.integers(0, 9))
def test_no_schedule_rests_on_what_is_not_known_yet(days, tick, seed):
    samples, one = recorded(days)
    known = samples.newest(tick) + 1

    def otherwise(stamps):
        noise = np.random.default_rng(seed).uniform(0, 1e6, len(stamps))
        return np.where(np.arange(len(stamps)) < known, by_the_hour(stamps), noise)

    other = scheduled_qps(*recorded(days, values=otherwise))
    assert other[: tick + 1].tolist() == scheduled_qps(samples, one)[: tick + 1].tolist()


# As a floor


@pytest.mark.parametrize(
    ("demand", "floor"),
    [
        pytest.param(1000.0, 10, id="a whole number of replicas"),
        pytest.param(1000.1, 11, id="rounded up"),
        pytest.param(np.nan, 0, id="nothing is scheduled: the autoscaler's own minimum"),
    ],
)
def test_the_floor_serves_what_is_scheduled(demand, floor):
    one = scene([0.0] * 3, 1)
    service = SimulatedService(one, None)
    run(one, ScheduledFloor("scheduled", np.full(3, demand), 100.0), service)
    assert service.floor == floor


def last_day(values):
    """Return the setting of the last twelve hours of three days, replayed from noon on."""
    series = wave(3.0)
    series = replace(series, start=series.start + MINUTE)
    series = replace(series, values=values(series.stamps))
    part = ReplayPart(series.end - timedelta(hours=12))
    return prepared(series, policy_of(), PLAIN, None, part)


def test_replicas_are_there_before_a_rise_by_the_hour_and_the_autoscaler_removes_them():
    """Demand of 500, and of 2,000 from 15:00 to 17:00, each day."""

    def lunch(stamps):
        return np.where(
            ((stamps - 1) // 3600 % 24 >= 15) & ((stamps - 1) // 3600 % 24 < 17), 2e3, 500.0
        )

    setting = last_day(lunch)
    foreseen, present = (
        carried_out(setting, ContestJob(family, 1.0))[0] for family in (PREDICTIVE, HPA)
    )
    rise = 3 * HOUR_TICKS
    assert present.replicas[rise - 1] == foreseen.replicas[rise - 25] == 5
    assert foreseen.replicas[rise - 15] == 20
    assert foreseen.lost.sum() == 0 < present.lost.sum()
    assert foreseen.replicas[-1] == 5


def test_more_than_was_scheduled_for_is_the_autoscaler_s():
    setting = last_day(lambda stamps: np.where(stamps > stamps[-1] - 6 * 3600, 3000.0, 500.0))
    foreseen, present = (
        carried_out(setting, ContestJob(family, 0.6))[0].replicas for family in (PREDICTIVE, HPA)
    )
    renewal = 6 * HOUR_TICKS
    assert foreseen[:renewal].tolist() == present[:renewal].tolist()
    assert (foreseen >= present).all()

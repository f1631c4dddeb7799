"""The query of the demand of a week or a day ago: what it answers, and that it reads the past."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.hpa.rules import HPASpec, MetricKind
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contenders import AutoscalerAlone, run
from scaler.simulation.contest import KEDA, OFFSET_DAY, OFFSET_WEEK, ContestJob, carried_out
from scaler.simulation.offset_query import DAY, WEEK, offset_answers
from scaler.simulation.preparation import ReplayPart, prepared
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.world import SimulatedService
from tests.scaler.simulation.replay_samples import MINUTE, policy_of, scene, wave

STEP = timedelta(minutes=5)
PLAIN = ReplaySettings(start_up_spread=0.0)


def recorded(days: float, *, hours: float = 3.0, step: timedelta = STEP, values=None):
    """Return the samples and the scene of the last hours of a recording."""
    series = wave(days, step=step)
    if values is not None:
        series = replace(series, values=values(series))
    first = len(series) - round(timedelta(hours=hours) / step)
    start = series.stamps[first] - step.total_seconds()
    ticks = round(timedelta(hours=hours) / timedelta(seconds=15))
    one = replace(scene(np.zeros(ticks), 1), start=float(start))
    return RecordedSamples(series, first, one), one


@pytest.mark.parametrize(("days", "season"), [(2.0, DAY), (8.0, WEEK)])
@pytest.mark.parametrize("step", [MINUTE, STEP, timedelta(minutes=30), timedelta(hours=1)])
def test_it_answers_the_largest_of_the_half_hour_that_began_a_season_ago(days, season, step):
    samples, one = recorded(days, step=step)
    series, back = samples.series, season.total_seconds()
    answers = offset_answers(samples, one, season)
    reach = max(1800.0, step.total_seconds())
    for tick in range(0, one.ticks, 7):
        newest = series.stamps[samples.newest(tick)]
        within = (series.stamps > newest - back) & (series.stamps <= newest - back + reach)
        assert answers[tick] == series.values[within].max()


@pytest.mark.parametrize(("days", "season"), [(1.5, DAY), (3.0, DAY), (7.1, WEEK), (8.0, WEEK)])
@given(tick=st.integers(0, 719), seed=st.integers(0, 9))
def test_no_answer_rests_on_what_is_not_known_yet(days, season, tick, seed):
    samples, one = recorded(days)
    known = samples.newest(tick) + 1

    def otherwise(series):
        noise = np.random.default_rng(seed).uniform(0, 1e6, len(series))
        return np.where(np.arange(len(series)) < known, series.values, noise)

    other = offset_answers(*recorded(days, values=otherwise), season)[: tick + 1]
    same = offset_answers(samples, one, season)[: tick + 1]
    np.testing.assert_array_equal(other, same)  # NaN equals NaN


def test_samples_that_are_missing_are_passed_over_and_none_at_all_are_no_answer():
    def holed(series):
        values = np.arange(len(series), dtype=float)
        values[252:255] = np.nan  # 15 minutes
        values[258:270] = np.nan  # an hour
        return values

    samples, one = recorded(2.0, values=holed)  # the replay begins with sample 540
    answers = offset_answers(samples, one, DAY)[::20]
    # At the first tick sample 538 is the newest that is known, so 251 to 256 are asked for.
    assert answers[:7].tolist() == [256.0] + [257.0] * 6
    assert np.isnan(answers[7:14]).all()
    assert answers[14:].tolist() == list(range(270, 292))


@pytest.mark.parametrize(
    ("days", "silent"),
    [
        pytest.param(3.0, 180, id="half a week: it never answers"),
        # At minute m sample 9958 + m is the newest that is known, and a week are 10,080:
        # the last one asked for, 9958 + m - 10080 + 30, is there from m = 92 on.
        pytest.param(7.0 + 1 / 24, 92, id="a week and an hour, of which three are replayed"),
        pytest.param(8.0, 0, id="a week before the replay: always"),
    ],
)
def test_it_is_silent_until_its_season_was_recorded(days, silent):
    """In minutes."""
    answers = offset_answers(*recorded(days, step=MINUTE), WEEK)
    assert np.isnan(answers)[::4].sum() == silent


# As a trigger


def counts(one, second):
    """Return the replicas under KEDA's two triggers."""
    spec = HPASpec(1, 60, MetricKind.EXTERNAL_AVERAGE, 100.0)
    service = SimulatedService(one, spec, 120.0, np.asarray(second, dtype=float))
    service.floor = 1
    return run(one, AutoscalerAlone("both"), service).replicas.tolist()


@pytest.mark.parametrize(
    ("demand", "second", "last"),
    [
        pytest.param(400.0, 900.0, 9, id="the second is higher"),
        pytest.param(480.0, 400.0, 5, id="the first is higher"),
        pytest.param(400.0, math.nan, 4, id="the second answers nothing"),
        pytest.param(math.nan, 900.0, 9, id="the first is not known: the second raises"),
        pytest.param(math.nan, 100.0, 6, id="and lowers nothing"),
        pytest.param(math.nan, math.nan, 6, id="nothing is known: nothing changes"),
    ],
)
def test_the_higher_of_two_triggers_wins(demand, second, last):
    assert counts(scene([demand] * 40, 6), [second] * 40)[-1] == last


def test_replicas_are_there_before_a_rise_that_came_a_day_ago():
    """Demand of 500, and of 2,000 from noon on, each day."""

    def step_at_noon(series):
        return np.where(series.stamps % 86_400 > 43_200, 2000.0, 500.0)

    series = wave(2.6, step=MINUTE)
    series = replace(series, values=step_at_noon(series))
    part = ReplayPart(series.start + timedelta(days=2.4))
    setting = prepared(series, policy_of(), PLAIN, None, part)
    noon = round((series.start.timestamp() + 2.5 * 86_400 - setting.scene.start) / 15)
    foreseen, present = (
        carried_out(setting, ContestJob(family, 1.0))[0] for family in (OFFSET_DAY, KEDA)
    )
    assert present.replicas[noon - 1] == 5
    assert foreseen.replicas[noon - 4 * 28] == 20
    assert foreseen.lost.sum() == 0 < present.lost.sum()


def test_where_less_than_a_week_was_recorded_the_week_is_keda_alone_and_the_day_is_not():
    series = wave(6.0)
    setting = prepared(series, policy_of(), PLAIN, None, ReplayPart(series.end - timedelta(days=1)))
    week, day, alone = (
        carried_out(setting, ContestJob(family, 0.6))[0].replicas.tolist()
        for family in (OFFSET_WEEK, OFFSET_DAY, KEDA)
    )
    assert week == alone != day


def test_where_nothing_was_recorded_a_day_ago_it_is_keda_alone():
    series = wave(2.5)
    values = series.values.copy()
    values[-1440 - 61 : -1440 + 31] = np.nan
    part = ReplayPart(series.end - timedelta(hours=1))
    setting = prepared(replace(series, values=values), policy_of(), PLAIN, None, part)
    both, present = (
        carried_out(setting, ContestJob(family, 0.6))[0].replicas.tolist()
        for family in (OFFSET_DAY, KEDA)
    )
    assert both == present

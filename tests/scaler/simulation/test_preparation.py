"""From a history and a policy to a setting: what is replayed, from where, and what is refused."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from forecaster.data.series import History, Series
from forecaster.errors import HistoryError
from scaler.decision.replicas import ScalePolicy
from scaler.errors import ReplayError
from scaler.hpa.controller import HPASpec, MetricGoal, MetricKind
from scaler.hpa.net import net_under
from scaler.policy.policy import Slo
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.preparation import ReplayPart, prepared
from scaler.simulation.replay import series_of
from tests.forecaster.evaluation.fitting_samples import DAY, changed
from tests.scaler.simulation.replay_samples import FIRST, MINUTE, policy_of, wave

TWO_DAYS = wave(2)
LAST_HOUR = ReplayPart(TWO_DAYS.end - timedelta(hours=1))
PLAIN = ReplaySettings()


def set_up(series=TWO_DAYS, part=LAST_HOUR, *, settings=PLAIN, forecaster=None, **policy):
    return prepared(series, policy_of(item_id=series.item_id, **policy), settings, forecaster, part)


# What is replayed


def test_each_sample_is_replayed_as_ticks_of_15_seconds_before_its_stamp():
    """A sample is the mean of the step that ends at its stamp."""
    found = set_up()
    scene, demand = found.scene, found.scene.demand
    assert (scene.timing.tick_s, scene.ticks, len(demand)) == (15.0, 240, 240)
    assert scene.start == (TWO_DAYS.end - timedelta(hours=1)).timestamp() - 60
    assert demand.tolist() == np.repeat(TWO_DAYS.values[-60:], 4).tolist()


@pytest.mark.parametrize(
    ("step", "tick_s", "ticks"),
    [
        pytest.param(10, 10.0, 360, id="shorter than a tick: a tick each"),
        pytest.param(15, 15.0, 240, id="a tick each"),
        pytest.param(20, 20.0, 180, id="hardly longer: a tick each"),
        pytest.param(30, 15.0, 240, id="two ticks each"),
        pytest.param(300, 15.0, 240, id="twenty ticks each"),
    ],
)
def test_ticks_divide_a_step_evenly_and_are_about_15_seconds(step, tick_s, ticks):
    series = wave(1.5, step=timedelta(seconds=step))
    scene = set_up(series, ReplayPart(series.end - timedelta(hours=1))).scene
    assert (scene.timing.tick_s, scene.ticks) == (tick_s, ticks)


def test_by_default_the_last_quarter_is_replayed():
    found = set_up(wave(4), ReplayPart())
    assert found.scene.ticks == 24 * 240
    assert found.scene.start == (FIRST + timedelta(days=3) - MINUTE).timestamp()


def longer(history, days: int) -> Series:
    """Return the first item, its last days repeated after its end."""
    one = history.series[0]
    return replace(one, values=np.concatenate([one.values, one.values[-days * DAY :]]))


def test_by_default_what_the_model_has_not_seen_is_replayed(forecaster, history):
    series = longer(history, 2)
    seen = forecaster.item_model(series.item_id).trained_until
    found = set_up(series, ReplayPart(), forecaster=forecaster)
    assert found.scene.start == seen.timestamp() - 300
    assert found.scene.ticks == (series.end - seen) // series.step * 20


def test_what_is_asked_for_goes_before_what_the_model_has_seen(forecaster, history):
    series = history.series[0]
    part = ReplayPart(series.end - timedelta(days=1))
    assert set_up(series, part, forecaster=forecaster).scene.ticks == 24 * 240


def test_with_a_model_it_forecasts_for_tidegate_and_without_one_holt_winters(forecaster, history):
    series = history.series[0]
    part = ReplayPart(series.end - timedelta(hours=6))
    with_model, without = (set_up(series, part, forecaster=f) for f in (forecaster, None))
    assert without.ours is without.smoothing
    assert set(with_model.ours.sources) != {"holt_winters"} == set(without.ours.sources)
    assert with_model.smoothing.values.tolist() == without.ours.values.tolist()


def test_what_is_foreseen_rests_on_nothing_after_the_tick():
    """All after the middle of the replay is made wild."""
    wild = changed(TWO_DAYS, lambda v: np.where(np.arange(len(v)) >= len(v) - 30, 9 * v, v))
    tame, other = set_up(), set_up(wild)
    # The 31st sample is wild: complete at its stamp, after 31 x 4 ticks; known a tick later.
    seen = tame.samples.newest_row(124)
    assert tame.ours.values[: seen + 1].tolist() == other.ours.values[: seen + 1].tolist()
    assert tame.samples.newest_row(125) == seen + 1
    assert tame.ours.values[seen + 1].tolist() != other.ours.values[seen + 1].tolist()


def test_each_sample_is_known_once_and_not_before_its_stamp():
    found = set_up()
    told = [found.samples.since_last_tick(tick) for tick in range(found.scene.ticks)]
    stamps = [stamp for new in told for stamp, _ in new]
    assert stamps == sorted(set(stamps))
    assert all(stamp < found.scene.now(t) for t, new in enumerate(told) for stamp, _ in new)


# What contenders are told


def test_contenders_are_given_the_policy_as_it_is():
    """Lead time and warm-up are learned or given as they are in life."""
    assert set_up(lead_s=300.0).policy.lead_s == 300.0
    assert set_up().policy.lead_s is None


def test_the_promise_of_the_policy_is_that_of_the_service():
    found = set_up(slo=Slo(latency_s=0.25, objective=0.99))
    model = found.scene.model
    assert (model.slo_s, model.objective, model.capacity_qps) == (0.25, 0.99, 100.0)


def test_a_user_without_an_autoscaler_is_compared_with_one_at_60_per_cent():
    found = set_up()
    assert found.hpa == HPASpec(2, 60, MetricKind.PODS, 60.0)
    assert found.own_target == pytest.approx(0.6)


def test_the_user_s_own_autoscaler_is_compared_with():
    own = HPASpec(3, 20, MetricKind.UTILIZATION, 0.7)
    found = set_up(settings=ReplaySettings(hpa=own))
    assert found.hpa == own
    assert found.net == net_under(own, 100.0)


@pytest.mark.parametrize(
    ("metric", "target"),
    [
        pytest.param(MetricKind.UTILIZATION, 1.0, id="all of the CPU"),
        pytest.param(MetricKind.PODS, 100.0, id="the capacity of a replica"),
        pytest.param(MetricKind.EXTERNAL_AVERAGE, 100.0, id="the same, of the whole"),
    ],
)
def test_the_net_is_the_user_s_autoscaler_with_its_target_at_the_capacity(metric, target):
    own = HPASpec(2, 60, metric, 0.5)
    net = net_under(own, 100.0)
    assert net.target == target
    assert net.scale_down.tolerance == 0.0
    assert net.scale_up == own.scale_up
    assert (net.min_replicas, net.max_replicas, net.metric) == (2, 60, metric)


def test_in_the_net_other_metrics_keep_their_proportion():
    rate = MetricGoal(MetricKind.EXTERNAL_AVERAGE, 60.0)
    own = HPASpec(2, 60, MetricKind.UTILIZATION, 0.5, more=(rate,))
    assert [goal.target for goal in net_under(own, 100.0).goals] == [1.0, 120.0]


@pytest.mark.parametrize(
    ("scale", "level", "replicas"),
    [
        pytest.param((2, 60), 590.0, 10, id="590 / (100 x 0.6) is 9.8"),
        pytest.param((15, 60), 590.0, 15, id="no fewer than the minimum"),
        pytest.param((2, 6), 590.0, 6, id="no more than the maximum"),
        pytest.param((2, 60), 0.0, 2, id="without demand the minimum"),
    ],
)
def test_all_start_with_what_the_autoscaler_would_have_had(scale, level, replicas):
    steady = changed(TWO_DAYS, lambda v: np.full_like(v, level))
    assert set_up(steady, scale=ScalePolicy(*scale)).scene.replicas == replicas


# What is refused


def test_without_a_capacity_nothing_can_be_replayed():
    with pytest.raises(ReplayError, match=r"shop/web: .*requestsPerReplica is not given.*--capac"):
        set_up(capacity_qps=None, slo=Slo(query="latency"))


def test_a_history_that_ends_before_the_replay_is_refused():
    with pytest.raises(
        ReplayError,
        match=r"the history ends at 2026-03-04 00:00.*start at 2026-03-05 .*asked for.*earlier --f",
    ):
        set_up(part=ReplayPart(FIRST + timedelta(days=3)))


def test_a_history_that_the_model_has_seen_all_of_is_refused(forecaster, history):
    series = history.series[0]
    seen = forecaster.item_model(series.item_id).trained_until
    with pytest.raises(ReplayError, match=r"the first moment that the model has not seen.*give it"):
        set_up(series.between(series.start, seen), ReplayPart(), forecaster=forecaster)


def test_too_little_before_the_replay_is_refused():
    with pytest.raises(HistoryError, match="give it earlier history, or start later"):
        set_up(part=ReplayPart(FIRST + timedelta(hours=20)))


def gappy(minutes: int) -> Series:
    """So many samples are missing of the last hour, the first at 23:10."""
    return changed(
        TWO_DAYS,
        lambda v: np.where((np.arange(len(v)) - len(v) + 50) % len(v) < minutes, np.nan, v),
    )


def test_a_long_gap_in_what_is_replayed_is_named_with_its_stamp():
    with pytest.raises(
        ReplayError, match=r"31 of 60 samples are missing from 2026-03-03 23:10:00\+00:00 on"
    ):
        set_up(gappy(31))


@pytest.mark.parametrize(
    ("minutes", "skip_gaps"),
    [pytest.param(30, False, id="a short one"), pytest.param(31, True, id="a long one, if asked")],
)
def test_a_gap_is_stepped_over(minutes, skip_gaps):
    found = set_up(gappy(minutes), replace(LAST_HOUR, skip_gaps=skip_gaps))
    assert np.isnan(found.scene.demand).sum() == minutes * 4
    assert np.isfinite(found.ours.values).all()


def test_a_gap_before_the_replay_is_no_reason_to_refuse():
    early = changed(TWO_DAYS, lambda v: np.where(np.arange(len(v)) // 30 == 50, np.nan, v))
    assert not np.isnan(set_up(early).scene.demand).any()


@pytest.mark.parametrize("skip_gaps", [False, True])
def test_a_replay_of_which_nothing_is_known_is_refused(skip_gaps):
    unknown = changed(TWO_DAYS, lambda v: np.where(np.arange(len(v)) >= len(v) - 60, np.nan, v))
    with pytest.raises(ReplayError, match="nothing is known of the time that is to be replayed"):
        set_up(unknown, replace(LAST_HOUR, skip_gaps=skip_gaps))


def test_the_policy_s_time_zone_comes_before_that_of_the_history():
    history = History((replace(TWO_DAYS, timezone="Europe/Berlin"),))
    plain, named = (
        policy_of(item_id=TWO_DAYS.item_id, timezone=zone) for zone in (None, "Asia/Tokyo")
    )
    assert series_of(history, plain, None).timezone == "Europe/Berlin"
    assert series_of(history, named, None).timezone == "Asia/Tokyo"

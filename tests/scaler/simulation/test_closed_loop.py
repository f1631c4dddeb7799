"""The closed loop: what a contender asks for is what serves; what it sees lies in the past."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.simulation.closed_loop import run
from scaler.simulation.contenders import KnownReplicas, TickView
from tests.scaler.simulation.replay_samples import EXACT, LEAD_TICKS, scene


class Recorder:
    """Asks for what it is told to, and keeps what it saw."""

    name = "recorder"

    def __init__(self, replicas: list[int], window_s: float = 60.0) -> None:
        self.window_s = window_s
        self.views: list[TickView] = []
        self._replicas = replicas

    def replicas(self, view: TickView) -> int:
        self.views.append(view)
        return self._replicas[view.tick]


def seen(one, window_s: float = 60.0) -> list[TickView]:
    """Return what is seen by who keeps the replicas as they are."""
    recorder = Recorder([one.replicas] * one.timing.ticks, window_s)
    run(one, recorder)
    return recorder.views


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


# What serves


def test_a_replica_asked_for_serves_after_its_start_up_and_its_ramp():
    done = run(scene([100] * 20, 2), KnownReplicas("more", [2] * 5 + [4] * 15))
    assert done.replicas.tolist() == [2] * 5 + [4] * 15
    # Ready 6 ticks later (90 s), then half, three quarters and all of a warm one.
    assert done.ready.tolist() == [2] * 11 + [4] * 9
    warm = done.saturation / EXACT.saturation_qps
    assert warm == pytest.approx([2] * 11 + [3, 3.5] + [4] * 7)


def test_a_replica_removed_serves_no_more_from_that_tick_on():
    done = run(scene([100] * 6, 4), KnownReplicas("fewer", [4, 4, 4, 1, 1, 1]))
    assert done.saturation / EXACT.saturation_qps == pytest.approx([4, 4, 4, 1, 1, 1])
    assert done.replicas.tolist() == [4, 4, 4, 1, 1, 1]


def test_what_is_offered_includes_those_who_come_again():
    flooded = scene([400] + [0] * 3, 1, model=replace(EXACT, collapse=0.0, retry_share=0.5))
    done = run(flooded, KnownReplicas("one", [1] * 4))
    assert done.offered[0] == 400.0
    assert done.offered[1] == pytest.approx(0.5 * done.lost[0])
    assert done.lost[0] > 0


def test_time_in_which_nothing_is_known_counts_neither_offered_nor_lost():
    """But the replicas that were there are paid for."""
    demand = np.array([500.0] * 4 + [np.nan] * 4 + [50.0] * 4)
    done = run(scene(demand, 1), KnownReplicas("one", [1] * 12))
    assert done.lost[3] > 0
    assert done.offered[4:8].tolist() == done.lost[4:8].tolist() == [0.0] * 4
    assert done.replicas.tolist() == [1.0] * 12


def test_the_same_scene_gives_the_same_run_and_another_seed_other_start_ups():
    spread = replace(EXACT, start_up_spread=0.3)

    def ready(seed):
        one = scene([100.0] * 30, 1, model=spread, seed=seed)
        return run(one, KnownReplicas("more", [20] * 30)).ready.tolist()

    assert ready(1) == ready(1)
    assert ready(1) != ready(2)


# What is seen


@pytest.mark.parametrize("window_s", [15.0, 60.0, 120.0])
@pytest.mark.parametrize("delay_s", [0.0, 15.0, 45.0])
def test_the_rate_seen_is_the_mean_of_the_window_that_ended_a_delay_ago(window_s, delay_s):
    demand = np.random.default_rng(0).uniform(10, 90, 40)
    views = seen(scene(demand, 1, delay_s=delay_s), window_s)
    window, delay = round(window_s / 15), round(delay_s / 15)
    for j, view in enumerate(views):
        past = demand[max(j - delay - window, 0) : max(j - delay, 0)]
        expected = past.mean() if len(past) else math.nan
        assert view.observed_qps == pytest.approx(expected, nan_ok=True)


@given(
    st.lists(st.floats(0, 500), min_size=12, max_size=12),
    st.lists(st.floats(0, 500), min_size=12, max_size=12),
    st.integers(0, 11),
    st.sampled_from([0.0, 15.0, 30.0]),
)
def test_no_view_holds_anything_of_a_later_tick(demand, other, turn, delay_s):
    """All from a tick on is exchanged: until a delay after that tick every view is the same."""
    views, others = (
        seen(scene(values, 2, delay_s=delay_s)) for values in (demand, demand[:turn] + other[turn:])
    )
    until = turn + round(delay_s / 15) + 1
    for one, two in zip(views[:until], others[:until], strict=True):
        for field in TickView.__slots__:
            assert same(getattr(one, field), getattr(two, field)), field


def test_what_is_not_known_is_left_out_of_the_mean_and_told_as_such_when_it_is_all():
    demand = [40.0] * 4 + [np.nan] * 8 + [80.0] * 4
    views = seen(scene(demand, 1, delay_s=0.0))
    assert views[6].observed_qps == 40.0  # two known and two unknown
    assert math.isnan(views[8].observed_qps)
    assert math.isnan(views[8].served_qps)
    assert views[13].observed_qps == 80.0


def test_what_is_seen_of_the_work_done_cannot_exceed_what_can_be_done():
    views = seen(scene([500.0] * 10, 1, delay_s=0.0))
    assert views[-1].observed_qps >= 500.0
    assert views[-1].served_qps == pytest.approx(EXACT.saturation_qps)
    assert views[-1].replica_qps == pytest.approx(views[-1].observed_qps)


def test_the_replicas_seen_are_those_of_now():
    recorder = Recorder([2] * 3 + [5] * 17)
    run(scene([100.0] * 20, 2), recorder)
    assert [v.replicas for v in recorder.views] == [2] * 4 + [5] * 16
    assert [v.ready for v in recorder.views] == [2] * 9 + [5] * 11
    assert recorder.views[3 + LEAD_TICKS].warm == 5.0


@pytest.mark.parametrize(
    ("demand", "broken"),
    [
        pytest.param(99.0, False, id="below the capacity"),
        pytest.param(101.0, True, id="above it, though below saturation"),
        pytest.param(300.0, True, id="overloaded"),
    ],
)
def test_a_broken_slo_is_seen(demand, broken):
    assert seen(scene([demand] * 10, 1))[-1].over_slo is broken


def test_a_broken_slo_is_seen_until_its_window_is_over():
    views = seen(scene([300.0] + [10.0] * 12, 1, model=replace(EXACT, retry_share=0.0)))
    # Seen one tick of delay after tick 0, for a window of four; the queue is gone by tick 2.
    broken = [j for j, view in enumerate(views) if view.over_slo]
    assert broken[0] == 2
    assert broken == list(range(2, broken[-1] + 1))
    assert broken[-1] <= 6

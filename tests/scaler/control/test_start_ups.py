"""How long pods took to start: each counted once, whatever becomes of it later."""

import pytest

from scaler.control.observations import Pod
from scaler.control.start_ups import MOST, SILENCE_S, StartUps

DAY_S = 86_400.0


def observed(*ticks, tick_s=15.0, start=1000.0):
    """Return the start-up times after ticks of pods."""
    start_ups = StartUps()
    for i, pods in enumerate(ticks):
        start_ups.observe(tuple(pods), start + i * tick_s)
    return start_ups.times


STARTING, READY = Pod("a", 1000.0), Pod("a", 1000.0, 1020.0)


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        pytest.param([[], [STARTING], [READY]], (20.0,), id="seen starting, then Ready"),
        pytest.param([[], [READY], [READY]], (20.0,), id="Ready between two ticks"),
        pytest.param([[READY], [READY]], (), id="Ready before we looked: it may be a second time"),
        pytest.param([[STARTING], [READY]], (20.0,), id="young and starting when we first looked"),
        pytest.param(
            [[Pod("a", 1000.0 - DAY_S)], [Pod("a", 1000.0 - DAY_S, 1010.0)]], (),
            id="old and not Ready when we first looked: it has blipped",
        ),
        pytest.param(
            [[], [STARTING], [READY], [STARTING], [Pod("a", 1000.0, 9000.0)]], (20.0,),
            id="Ready again after a blip",
        ),
        pytest.param([[], [STARTING], [], [READY]], (20.0,), id="a watch that missed it once"),
        pytest.param(
            [[], [STARTING, Pod("b", 1001.0)], [READY, Pod("b", 1001.0, 1050.0)]], (20.0, 49.0),
            id="each of several",
        ),
        pytest.param([[], [STARTING], []], (), id="gone before it was Ready"),
    ],
)  # fmt: skip
def test_the_first_readiness_counts_once(ticks, expected):
    assert observed(*ticks) == expected


def test_after_a_silence_a_new_pod_that_is_ready_tells_nothing():
    start_ups = StartUps()
    start_ups.observe((), 0.0)
    start_ups.observe((READY,), 2 * SILENCE_S)
    assert start_ups.times == ()


def test_the_order_of_pods_does_not_matter():
    fast, slow = Pod("fast", 1000.0, 1020.0), Pod("slow", 1000.0, 1200.0)
    assert sorted(observed([], [fast, slow])) == sorted(observed([], [slow, fast])) == [20.0, 200.0]


def test_a_steady_service_adds_nothing_tick_after_tick():
    pods = tuple(Pod(str(i), 0.0, 10.0 + i) for i in range(8))
    assert observed([], *[pods] * 100) == tuple(10.0 + i for i in range(8))


def test_what_was_known_before_a_restart_is_kept_and_the_oldest_forgotten():
    start_ups = StartUps([5.0] * MOST)
    start_ups.observe((), 0.0)
    start_ups.observe((READY,), 15.0)
    assert len(start_ups.times) == MOST
    assert start_ups.times[-1] == 20.0

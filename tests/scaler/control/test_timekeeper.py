"""Ticks' time under a wall clock that is slewed, set, or goes on while nothing runs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.control.timekeeper import SET_S, TickTime, Timekeeper

WALL, STEADY, TICK_S = 1_772_000_000.0, 500.0, 15.0


class Clocks:
    """A wall clock and one that is never set; ``pause_s`` passes between two readings of them."""

    def __init__(self) -> None:
        self.wall, self.steady, self.pause_s, self.pauses = WALL, STEADY, 0.0, 0

    def pass_by(self, seconds: float, wall: float | None = None) -> None:
        self.steady += seconds
        self.wall += seconds if wall is None else wall

    def read_wall(self) -> float:
        if self.pauses:
            self.pauses -= 1
            self.pass_by(self.pause_s)
        return self.wall

    def keeper(self) -> Timekeeper:
        return Timekeeper(self.read_wall, lambda: self.steady)


@pytest.mark.parametrize(
    ("steady_s", "wall_s", "set_by_s"),
    [
        pytest.param(15.0, 15.0, 0.0, id="nothing"),
        pytest.param(15.0, 15.0 * 1.0005, 0.0, id="slewed forward, as fast as NTP does"),
        pytest.param(15.0, 15.0 * 0.9995, 0.0, id="slewed back"),
        pytest.param(600.0, 600.0, 0.0, id="suspended for ten minutes"),
        pytest.param(0.0, 600.0, 600.0, id="suspended, where no clock counts that"),
        pytest.param(15.0, 3615.0, 3600.0, id="an hour forward"),
        pytest.param(15.0, -3585.0, -3600.0, id="an hour back"),
        pytest.param(15.0, 14.0, -1.0, id="a leap second"),
        pytest.param(86_400.0, 86_400.0, 0.0, id="a day without a tick"),
    ],
)
def test_a_wall_clock_that_was_set_is_told_from_one_that_went_on(steady_s, wall_s, set_by_s):
    clocks = Clocks()
    keeper = clocks.keeper()
    assert keeper.read() == TickTime(WALL)
    clocks.pass_by(steady_s, wall_s)
    read = keeper.read()
    assert read.now == pytest.approx(WALL + wall_s)
    assert read.set_by_s == pytest.approx(set_by_s)
    clocks.pass_by(TICK_S)
    assert keeper.read() == TickTime(pytest.approx(WALL + wall_s + TICK_S))


def test_a_pause_between_the_two_readings_is_no_setting():
    clocks = Clocks()
    keeper = clocks.keeper()
    keeper.read()
    clocks.pass_by(TICK_S)
    clocks.pause_s, clocks.pauses = 3.0, 1
    assert keeper.read() == TickTime(WALL + TICK_S + 3.0)


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 3600.0),
            st.one_of(st.just(0.0), st.floats(-SET_S, SET_S), st.floats(-7200.0, 7200.0)),
        ),
        max_size=30,
    )
)
def test_an_age_goes_on_whatever_happens_to_the_wall_clock(passed):
    """A moment that is moved along is as old as it is by the clock that is never set."""
    clocks = Clocks()
    keeper = clocks.keeper()
    moment, before, slewed = keeper.read().now, -math.inf, 0.0
    for steady_s, error_s in passed:
        clocks.pass_by(steady_s, steady_s + error_s)
        read = keeper.read()
        moment += read.set_by_s
        assert read.set_by_s or read.now >= before
        slewed += SET_S
        assert read.now - moment == pytest.approx(clocks.steady - STEADY, abs=slewed + 1e-3)
        before = read.now

"""Which demand is doubted, for how long, and what is made of it meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.days import DAY_S
from scaler.decision.plausible import LONGEST_S, judged
from scaler.decision.wariness import MOST_SAMPLES, DemandReading, DoubtReason, Wariness

STEP_S, TICK_S = 60.0, 15.0
USUAL = 100.0
SPIKE, JUMP, FALL, STUCK, MARKED = DoubtReason
UNKNOWN = math.nan


def past(usual: float = USUAL) -> Wariness:
    """Return what is known after hours of demand around the usual."""
    noise = 1 + 0.01 * np.sin(np.arange(MOST_SAMPLES))
    return Wariness().with_samples((usual * noise).tolist())


@dataclass
class Watch:
    """Ticks on end; ``sampled`` are the samples that were believed, or NaN."""

    wary: Wariness
    now: float = 0.0
    sampled: tuple[float, ...] = ()

    def tick(self, qps: float, reported: float = UNKNOWN, *, marked: bool = False):
        self.now += TICK_S
        new = ((self.now, qps),) if self.now % STEP_S == 0 else ()
        reading = DemandReading(qps, new, reported, (self.now,) if marked else ())
        doubted, samples, self.wary = judged(reading, self.wary, self.now, STEP_S, TICK_S)
        self.sampled += tuple(one for _, one in samples)
        return doubted

    def ticks(self, seconds: float, qps: float, reported: float = UNKNOWN, *, marked: bool = False):
        return [self.tick(qps, reported, marked=marked) for _ in range(round(seconds / TICK_S))]


def watch(reported: float = UNKNOWN) -> Watch:
    """Return a watch after half an hour of calm, in which gateways reported this."""
    made = Watch(past())
    for _ in range(30):
        made.ticks(STEP_S, USUAL * (1 + 0.001 * math.sin(made.now)), reported)
    assert made.wary.doubt is None
    made.sampled = ()
    return made


def reasons(doubts) -> set:
    return {None if one is None else one.reason for one in doubts}


@pytest.mark.parametrize(
    ("usually", "qps", "reported", "reason"),
    [
        pytest.param(UNKNOWN, 1900.0, UNKNOWN, None, id="nineteen times the usual"),
        pytest.param(UNKNOWN, 2100.0, UNKNOWN, SPIKE, id="a spike"),
        pytest.param(100.0, 2100.0, 100.0, JUMP, id="a spike that gateways deny"),
        pytest.param(100.0, 2100.0, 2000.0, None, id="a crowd that gateways see"),
        pytest.param(100.0, 200.0, 100.0, JUMP, id="targets counted twice"),
        pytest.param(100.0, 200.0, 190.0, None, id="twice the demand"),
        pytest.param(100.0, 150.0, 100.0, None, id="a rise of a half"),
        pytest.param(100.0, 50.0, 100.0, FALL, id="half of the targets gone"),
        pytest.param(100.0, 10.0, 100.0, FALL, id="another unit"),
        pytest.param(100.0, 0.0, 100.0, FALL, id="all targets gone"),
        pytest.param(100.0, 0.0, 0.0, None, id="no demand"),
        pytest.param(100.0, 50.0, 50.0, None, id="half of the demand"),
        pytest.param(UNKNOWN, 10.0, UNKNOWN, None, id="a fall without a witness"),
        pytest.param(100.0, 70.0, 100.0, None, id="a fall of three tenths"),
        # Of a witness that sees a part of the traffic, only what it sees is sure.
        pytest.param(40.0, 50.0, 40.0, None, id="a fall of what gateways do not see"),
        pytest.param(40.0, 10.0, 40.0, FALL, id="less than what gateways see"),
        pytest.param(40.0, 200.0, 40.0, None, id="a rise of what gateways do not see"),
        pytest.param(40.0, 2100.0, 40.0, SPIKE, id="a spike beside what gateways see"),
        # A query may also count a part of what gateways are offered.
        pytest.param(200.0, 50.0, 200.0, FALL, id="half of a part"),
        # Reports alone move nothing.
        pytest.param(100.0, 100.0, 1e9, None, id="reports rise"),
        pytest.param(100.0, 100.0, 0.0, None, id="reports fall"),
    ],
)
def test_demand_is_doubted(usually, qps, reported, reason):
    made = watch(usually)
    doubted = made.tick(qps, reported)
    assert reasons([doubted]) == {reason}
    if reason is not None:
        assert all(word in doubted.message for word in ("measured", "usual"))


def test_a_witness_counts_after_ten_minutes():
    made = Watch(past())
    made.ticks(585.0, USUAL, USUAL)
    assert made.tick(10.0, USUAL) is None
    made = Watch(past())
    made.ticks(600.0, USUAL * 1.001, USUAL)
    assert made.tick(10.0, USUAL).reason is FALL


def test_small_counts_are_chance():
    """Demand of 0.05 QPS is three requests a minute, or none."""
    made = Watch(past(0.05))
    made.ticks(1200.0, 0.05, 0.05)
    assert reasons([made.tick(0.0, 0.05), made.tick(0.15, 0.05), made.tick(0.9)]) == {None}


@pytest.mark.parametrize(
    ("reason", "qps", "reported"),
    [(SPIKE, 3000.0, UNKNOWN), (JUMP, 200.0, USUAL), (FALL, 10.0, USUAL)],
)
def test_a_doubt_that_lasts_ends_and_its_samples_are_no_history(reason, qps, reported):
    made = watch(UNKNOWN if math.isnan(reported) else USUAL)
    lasting = made.ticks(LONGEST_S[reason] + TICK_S, qps, reported)
    assert reasons(lasting) == {reason}
    assert all(math.isnan(one) for one in made.sampled)
    made.sampled = ()
    assert reasons(made.ticks(7200.0, qps, reported)) == {None}  # and does not begin again
    assert set(made.sampled) == {qps}


def test_a_spike_is_bounded_until_it_is_believed():
    made = watch()
    spike_qps = made.wary.spike_qps
    assert spike_qps == pytest.approx(20 * USUAL, rel=0.02)
    assert {one.least_qps for one in made.ticks(120.0, 1e6)} == {spike_qps}
    made = watch(USUAL)
    assert {one.least_qps for one in made.ticks(120.0, 1e6, USUAL)} == {spike_qps}
    assert made.ticks(60.0, 1e6, USUAL)[-1].least_qps == 1e6  # reports keep nothing low


@pytest.mark.parametrize(
    ("reported", "least"),
    [(USUAL, USUAL), (80.0, 80.0), (5 * USUAL, USUAL)],
    ids=["all", "less", "more than there was"],
)
def test_a_fall_holds_what_is_reported_but_no_more_than_there_was(reported, least):
    made = watch(USUAL)
    made.ticks(600.0, 10.0, reported)
    assert made.tick(10.0, reported).least_qps == pytest.approx(least, rel=0.02)


def test_a_gateway_that_is_away_for_four_minutes_ends_no_doubt():
    made = watch(USUAL)
    made.ticks(60.0, 10.0, USUAL)
    assert reasons(made.ticks(240.0, 10.0)) == {FALL}
    assert reasons(made.ticks(3600.0, 10.0, USUAL)) == {FALL}
    assert made.ticks(315.0, 10.0)[-1] is None


def test_a_rate_lags_the_reports_by_its_window():
    """Reports move at once, a rate over five minutes bit by bit: none of that is doubted."""
    for level in (0.2, 4.0):
        made, true = watch(USUAL), [USUAL] * 20
        for tick in range(120):
            true.append(USUAL * level if tick < 60 else USUAL)
            assert made.tick(float(np.mean(true[-20:])), true[-1]) is None


def test_one_value_for_half_an_hour_is_an_exporter_that_hangs():
    made = watch()
    assert reasons(made.ticks(29 * 60.0, 77.7)) == {None}
    made.sampled = ()
    doubts = made.ticks(6 * 3600.0, 77.7)
    assert doubts[-1].reason is STUCK
    assert doubts[-1].least_qps == 77.7
    assert math.isnan(made.sampled[-1])
    assert made.tick(78.0) is None
    made.ticks(29 * 60.0, 77.7)
    assert reasons(made.ticks(DAY_S + 3600.0, 77.7)[-4:]) == {None}  # a day of it is demand


def test_what_never_varies_does_not_hang():
    made = Watch(Wariness())
    assert reasons(made.ticks(6 * 3600.0, 77.7)) == {None}


def test_without_an_answer_a_doubt_goes_on_and_a_spike_is_not_believed():
    made = watch()
    made.tick(1e6)
    assert made.ticks(600.0, UNKNOWN) == [None] * 40
    assert made.tick(USUAL) is None
    assert len(made.wary.values) == MOST_SAMPLES


def test_a_spike_among_samples_that_come_late_is_left_out():
    reading = DemandReading(USUAL, ((0.0, USUAL), (60.0, 1e6), (120.0, USUAL)))
    doubted, samples, _ = judged(reading, past(), 125.0, STEP_S, TICK_S)
    assert doubted is None
    assert [one for _, one in samples] == pytest.approx([USUAL, UNKNOWN, USUAL], nan_ok=True)


@pytest.mark.parametrize(
    ("qps", "least"),
    [
        pytest.param(5.0, USUAL, id="a fall is not followed"),
        pytest.param(3 * USUAL, 3 * USUAL, id="a rise is"),
    ],
)
def test_marked_demand_raises_and_lowers_nothing_and_is_no_history(qps, least):
    made = watch()
    doubts = made.ticks(3600.0, qps, marked=True)
    assert reasons(doubts) == {MARKED}
    assert [one.least_qps for one in doubts] == pytest.approx([least] * len(doubts), rel=0.02)
    assert made.sampled == pytest.approx([UNKNOWN] * 60, nan_ok=True)
    assert made.wary.usual_qps == pytest.approx(USUAL, rel=0.02)
    assert made.tick(USUAL) is None


def test_a_spike_stays_one_where_it_is_marked():
    doubted = watch().tick(1e6, marked=True)
    assert doubted.reason is SPIKE
    assert doubted.least_qps <= 25 * USUAL


def test_marks_are_ignored_after_a_day_until_a_tick_is_not_marked():
    made = watch()
    assert reasons(made.ticks(DAY_S, USUAL, marked=True)) == {MARKED}
    made.sampled = ()
    assert reasons(made.ticks(600.0, USUAL + 1, marked=True)[2:]) == {None}
    assert UNKNOWN not in made.sampled
    made.tick(USUAL)
    assert made.tick(USUAL, marked=True).reason is MARKED


def test_marks_take_the_samples_in_whose_steps_they_lie():
    samples = tuple((60.0 * minute, USUAL) for minute in range(1, 5))
    reading = DemandReading(USUAL, samples, marks=(75.0, 90.0, 180.0))
    _, left, _ = judged(reading, past(), 250.0, STEP_S, TICK_S)
    assert [one for _, one in left] == pytest.approx([USUAL, UNKNOWN, UNKNOWN, USUAL], nan_ok=True)


rates = st.floats(0, 1e7) | st.sampled_from([USUAL, USUAL / 2, 2 * USUAL, UNKNOWN])


@given(
    st.floats(1.0, 1e6),
    st.lists(st.tuples(st.integers(1, 60), rates, rates), max_size=8),
    rates,
    rates,
)
def test_whatever_is_reported_nothing_is_lowered_and_nothing_is_raised_above_what_was(
    usually, spells, qps, reported
):
    made = watch(usually)
    for count, measured, said in spells:
        made.ticks(count * TICK_S, measured, said)
    highest = max([*made.wary.values, made.wary.doubt.usual_qps if made.wary.doubt else 0.0])
    alone = judged(
        DemandReading(qps, ((made.now + 60, qps),)),
        replace(made.wary, reports=(), doubt=None),
        made.now + TICK_S,
        STEP_S,
        TICK_S,
    )[0]
    doubted = made.tick(qps, reported)
    least = qps if doubted is None else doubted.least_qps
    if math.isnan(qps):
        assert doubted is None
        return
    assert least >= (qps if alone is None else min(alone.least_qps, qps))
    assert least <= max(qps, highest)

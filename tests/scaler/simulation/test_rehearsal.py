"""What a tick acts on had been collected by then, and what it trusts had come true by then."""

from dataclasses import replace

import numpy as np
import pytest

from forecaster.evaluation.rolling import rolling_baseline, rolling_forecast
from scaler.decision.lead_demand import peak_over, step_range
from scaler.decision.trust import Standing, TrustRules, initial_trust
from scaler.simulation.rehearsal import LoopTiming, Reach, rehearse
from tests.forecaster.evaluation.fitting_samples import DAY, changed
from tests.scaler.simulation.replay_samples import START, forecast_of

RULES = TrustRules()
REACH = Reach(lead_s=150.0, payback_s=90.0)
FIELDS = ("lead_qps", "payback_qps", "median_qps", "margin_qps", "trusted")


def named(rows: int, steps: int = 10) -> np.ndarray:
    """Return medians that tell the row: 1000, 1001, 1002 ... at every step."""
    return np.repeat(1000.0 + np.arange(rows)[:, None], steps, axis=1)


def rehearsed(medians, *, ticks, start=60.0, delay_s=15.0, reach=REACH, happened=None):
    """Rehearse from a minute after the first origin, unless told otherwise."""
    forecast = forecast_of(medians)
    happened = np.full(len(medians), 1000.0) if happened is None else happened
    timing = LoopTiming(START + start, ticks, 15.0, delay_s)
    return rehearse(forecast, np.asarray(happened, dtype=np.float64), timing, reach, RULES)


# Which row is read


@pytest.mark.parametrize(
    ("delay_s", "rows"),
    [
        pytest.param(0.0, [1, 1, 1, 1, 2, 2, 2, 2], id="no delay: at its very stamp"),
        pytest.param(15.0, [0, 1, 1, 1, 1, 2, 2, 2], id="15 s: from one tick after its stamp"),
        pytest.param(40.0, [0, 0, 0, 1, 1, 1, 1, 2], id="40 s: from the tick at 45 s"),
        pytest.param(60.0, [0, 0, 0, 0, 1, 1, 1, 1], id="a minute: the one before"),
    ],
)
def test_a_tick_reads_the_newest_row_that_had_been_collected(delay_s, rows):
    told = rehearsed(named(4), ticks=8, delay_s=delay_s)
    assert [ahead.median_qps - 1000 for ahead in told.ahead()] == pytest.approx(rows)


def test_after_the_last_row_that_row_goes_on_being_read():
    told = rehearsed(named(3), ticks=40)
    assert told.ahead()[-1].median_qps == pytest.approx(1002)


def test_a_replay_that_starts_before_anything_was_collected_is_refused():
    with pytest.raises(ValueError, match="no forecast was collected by then"):
        rehearsed(named(3), ticks=4, start=0.0)


def test_an_older_row_is_read_further_ahead():
    """Steps of a minute say 100, 200, 300 ...; the lead time reaches 150 s beyond now."""
    rising = np.repeat(100.0 * np.arange(1, 11)[None], 2, axis=0)
    told = rehearsed(rising, ticks=8, delay_s=15.0)
    # Ages are 60, 15, 30, 45, 60 ... s; (60 + 150) / 60 is in the 4th step, (15 + 150) / 60 in
    # the 3rd, (30 + 150) / 60 at the very end of the 3rd, (45 + 150) / 60 in the 4th.
    assert [a.median_qps for a in told.ahead()][:5] == pytest.approx([400, 300, 300, 400, 400])


def test_columns_are_those_of_the_row_read_alone():
    """Against the same words said plainly, one tick at a time."""
    medians = np.random.default_rng(3).uniform(50, 150, (200, 10))
    happened = np.random.default_rng(4).uniform(50, 150, 200)
    forecast = forecast_of(medians)
    told = rehearsed(medians, ticks=600, happened=happened)
    for tick in range(0, 600, 37):
        now = START + 60 + 15 * tick
        row = min(int((now - 15 - START) // 60), 199)
        trust, age = told.trust[row], now - (START + 60 * row)
        one = replace(
            forecast,
            item_ids=("a",),
            sources=("b",),
            origins=forecast.origins[row : row + 1],
            values=forecast.values[row : row + 1],
        )
        for length, said in ((150.0, "lead_qps"), (240.0, "payback_qps")):
            maximum = peak_over(one, step_range(age, length, 60.0, 10))
            expected = maximum.quantile(trust.level, trust.theta)[0]
            assert getattr(told.ahead()[tick], said) == pytest.approx(expected)
        assert told.ahead()[tick].margin_qps == trust.margin
        assert told.ahead()[tick].trusted == (trust.standing is not Standing.BENCHED)


# No look-ahead


def by_model(series, origins, forecaster):
    return rolling_forecast(forecaster, series, origins)


def by_holt_winters(series, origins, forecaster):
    return rolling_baseline("holt_winters", series, origins, 6)


@pytest.mark.parametrize("forecast", [by_model, by_holt_winters])
@pytest.mark.parametrize("delay_s", [0.0, 15.0, 200.0])
def test_no_tick_sees_what_lies_in_its_future(forecast, delay_s, forecaster, history):
    """All after a moment is made wild: until it has been collected, no column differs at all."""
    one = history.series[0]
    first, turn, step_s = 10 * DAY, 11 * DAY, 300.0
    wild = changed(one, lambda v: np.where(np.arange(len(v)) > turn, 40 * v + 1000, v))
    origins = np.arange(first - 2, first + 2 * DAY)
    timing = LoopTiming(float(one.stamps[first]) - step_s, 2 * DAY * 20, 15.0, delay_s)
    tame, other = (
        rehearse(forecast(s, origins, forecaster), s.values[origins], timing, REACH, RULES)
        for s in (one, wild)
    )

    nows = timing.start + 15.0 * np.arange(timing.ticks)
    collected = nows >= float(one.stamps[turn + 1]) + delay_s  # the first wild sample
    for name, before, after in zip(FIELDS, tame.columns, other.columns, strict=True):
        np.testing.assert_array_equal(before[~collected], after[~collected], err_msg=name)
    at = int(np.argmax(collected))
    assert tame.columns[0][at] != other.columns[0][at]  # and then it is seen at once
    assert tame.trust[: turn - first + 3] == other.trust[: turn - first + 3]
    assert tame.trust != other.trust


def test_trust_at_a_row_rests_on_outcomes_complete_by_then():
    """Not one sample more, and not one less."""
    happened = 1000.0 + 20 * np.random.default_rng(0).standard_normal(40)
    told = rehearsed(np.full((40, 10), 1000.0), ticks=1, happened=happened)
    start = initial_trust(RULES, 3)

    # Read 15 s after its stamp, a row is asked for 165 s: the next 3 samples.
    assert told.trust[:3] == (start,) * 3
    assert told.trust[3] != start
    for row in (5, 20, 39):
        later = happened.copy()
        later[row:] = 5000.0
        other = rehearsed(np.full((40, 10), 1000.0), ticks=1, happened=later)
        assert other.trust[:row] == told.trust[:row]
        assert other.trust[row] != told.trust[row]


def test_outcomes_that_are_not_known_change_no_trust():
    happened = np.full(40, 1000.0)
    happened[10:20] = np.nan
    told = rehearsed(np.full((40, 10), 1000.0), ticks=1, happened=happened)
    # Rows 7 to 9 foretell what is missing; rows 10 to 19 have no last value: due 3 rows later.
    assert told.trust[10:23] == (told.trust[9],) * 13
    assert told.trust[23] != told.trust[22]


# What it comes to


def test_a_forecast_that_holds_is_never_benched():
    happened = 1000.0 + 50 * np.random.default_rng(0).standard_normal(1000)
    told = rehearsed(np.full((1000, 10), 1000.0), ticks=4000, happened=happened)
    assert told.benched_share == 0.0
    assert told.coverage > 0.9
    assert all(ahead.trusted for ahead in told.ahead())


def test_a_forecast_that_is_far_off_is_benched_and_only_a_margin_is_told():
    happened = 1000.0 + 50 * np.random.default_rng(0).standard_normal(1000)
    told = rehearsed(np.full((1000, 10), 10_000.0), ticks=4000, happened=happened)
    # Two hours of probation of 16.7.
    assert 0.8 < told.benched_share < 0.9
    last = told.ahead()[-1]
    assert not last.trusted
    assert 0 < last.margin_qps < 300  # the noise of 50 QPS, at the risk of 5 %


def test_the_same_forecast_is_rehearsed_alike():
    medians = np.random.default_rng(3).uniform(50, 150, (50, 10))
    one, other = (rehearsed(medians, ticks=150) for _ in range(2))
    assert one.ahead() == other.ahead()
    assert one.trust == other.trust

"""Coverage by minute of the hour: a job that is missed in every hour is found, and named."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.data.series import Series, utc
from forecaster.evaluation.backtest import SERVED, Backtest
from forecaster.evaluation.metrics import pinball_loss
from forecaster.evaluation.minutes import worst_minute
from forecaster.evaluation.origins import judged_origins
from forecaster.evaluation.outcome import Outcome
from forecaster.evaluation.scores import Score, score_of
from forecaster.features.timing import Timing
from forecaster.features.windows import origins_between
from forecaster.report.findings import minute_warning, sentences
from tests.forecaster.evaluation.backtest_samples import LEVELS, backtest_of, item, silent_item
from tests.forecaster.traffic_samples import MINUTE

NAN = float("nan")
DAYS = 3
START = utc("2026-03-02T00:00:00Z")


def job_at(minute: int, *, seed: int = 0) -> Series:
    """Return noise around 100, and 300 at one minute of each hour."""
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 5, DAYS * 1440)
    values[minute::60] = 300
    return Series("shop/cron", START, MINUTE, values)


def flat_score(one: Series, origins: np.ndarray, ahead: int) -> Score:
    """Return the score of a forecast that knows the noise, and nothing of a job."""
    spread = np.array([-6.4, 0.0, 6.4, 8.2, 11.6])
    target = one.values[origins[:, None] + 1 + np.arange(ahead)].astype(np.float32)
    predicted = np.broadcast_to(100 + spread, (*target.shape, 5)).astype(np.float32)
    outcome = Outcome.after(one.stamps[origins], 60, target)
    return score_of(outcome, predicted, pinball_loss(target, predicted, LEVELS), LEVELS)


def scored(*scores: Score) -> Backtest:
    """Return a backtest of items with these scores of what is served."""
    items = [item(f"shop/{place}") for place in range(len(scores))]
    return backtest_of(
        *(replace(x, scores={**x.scores, SERVED: s}) for x, s in zip(items, scores, strict=True))
    )


def test_a_job_at_minute_17_is_missed_by_the_quarter_hours_and_found_at_every_minute():
    """One step ahead, where origins each 15 minutes leave all other minutes out."""
    one, timing = job_at(17), Timing(MINUTE, 1)
    quarters = flat_score(one, origins_between(0, len(one), timing, 15), ahead=1)
    everywhere = flat_score(one, judged_origins(0, len(one), timing), ahead=1)

    assert quarters.minute_hours[17] == 0
    assert minute_warning(scored(quarters)) is None
    assert everywhere.coverage[3] > 0.92  # the day hides it
    assert everywhere.worst_minute.minute == 17
    assert everywhere.minute_coverage[17] == 0
    said = minute_warning(scored(everywhere))
    assert said.startswith("shop/0: at :17 only 0 % of 1")  # of the hours in which it was judged
    assert said.endswith("hours lie below the 0.95 quantile: a job at that minute?")


def test_with_a_few_steps_ahead_every_hour_counts_once():
    one, timing = job_at(17), Timing(MINUTE, 10)
    score = flat_score(one, judged_origins(0, len(one), timing), ahead=10)

    assert score.worst_minute.minute == 17
    assert 24 * DAYS - 1 <= score.worst_minute.hours <= 24 * DAYS
    assert minute_warning(scored(score)) in sentences(scored(score))


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        pytest.param({}, None, id="all as promised"),
        pytest.param({17: 0.0}, ":17 only 0 % of 72 hours", id="missed each hour"),
        pytest.param({0: 0.75}, ":00 only 75 % of 72 hours", id="missed in a quarter of them"),
        pytest.param({17: 0.88}, None, id="by chance, as one of sixty"),
        pytest.param(dict.fromkeys(range(60), 0.7), None, id="of all minutes alike"),
        pytest.param({**dict.fromkeys(range(60), 0.7), 4: 0.0}, ":04 only 0 %", id="one of bad"),
    ],
)
def test_a_minute_is_told_of_where_chance_does_not_explain_it(changes, warned):
    covered = np.full(60, 0.95)
    covered[list(changes)] = list(changes.values())
    score = replace(
        item("a").scores[SERVED],
        minute_coverage=tuple(covered.tolist()),
        minute_hours=(72,) * 60,
        coverage=(0.1, 0.5, 0.9, float(covered.mean()), 0.99),
    )
    said = minute_warning(scored(score))
    assert (said is None) if warned is None else (warned in said)


def test_the_more_minutes_are_looked_at_the_less_likely_a_miss_must_be():
    sample = item("a").scores[SERVED]
    shares = [0.95] * 60
    shares[30] = 0.833  # 60 of 72: a chance of 0.0002
    odd = replace(sample, minute_coverage=tuple(shares), minute_hours=(72,) * 60)
    few = replace(odd, minute_hours=tuple(72 * (minute == 30) for minute in range(60)))
    assert minute_warning(scored(few)) is not None
    assert minute_warning(scored(*[odd] * 9)) is None


def test_several_items_are_one_line():
    score = flat_score(job_at(17), judged_origins(0, DAYS * 1440, Timing(MINUTE, 10)), ahead=10)
    said = minute_warning(scored(score, item("b").scores[SERVED], score))
    assert said.endswith("a job at that minute? (1 more item alike)")
    assert minute_warning(backtest_of(silent_item("off"))) is None


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_noise_alone_hardly_ever_looks_like_a_job(seed):
    """Each moment forecast from one origin, with the coverage that is promised."""
    rng = np.random.default_rng(seed)
    shares = tuple((rng.binomial(72, 0.95, 60) / 72).tolist())
    worst = worst_minute(shares, (72,) * 60, 0.95)
    assert worst.covered == min(shares)
    assert worst.chance(0.95) > 1e-6


def test_the_five_highest_minutes_of_each_day_are_judged_by_themselves():
    values = np.full(2 * 1440, 100.0)
    values[[10, 700, 701, 900, 1300]] = 300  # five of the first day: missed
    values[1440:] = 90.0 + np.arange(1440) / 1440  # the last five of the second: covered
    one = Series("a", START, MINUTE, values)
    origins = np.arange(-1, 2 * 1440 - 1)
    target = values[origins + 1][:, None].astype(np.float32)
    outcome = Outcome.after(one.stamps[0] + 60 * origins, 60, target)
    assert np.flatnonzero(outcome.day_tops).tolist() == [
        10,
        700,
        701,
        900,
        1300,
        *range(2875, 2880),
    ]

    predicted = np.full((*target.shape, 5), 100.0, np.float32)
    score = score_of(outcome, predicted, np.ones_like(predicted), LEVELS)
    assert score.top_coverage == (0.5,) * 5
    assert score.coverage[0] > 0.99


def test_what_is_unknown_counts_for_no_minute_and_no_day():
    target = np.full((120, 2), NAN, np.float32)
    target[:, 0] = np.arange(120)
    outcome = Outcome.after(int(START.timestamp()) + 60 * np.arange(120), 60, target)
    assert outcome.hours == (2,) * 60
    assert outcome.day_tops[:, 0].nonzero()[0].tolist() == [115, 116, 117, 118, 119]
    assert not outcome.day_tops[:, 1].any()
    shares = outcome.by_minute(target < 60)
    assert set(shares) <= {0.5}

"""Generated traffic has the properties of real traffic; the same seed gives the same traffic."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.quality import RawSeries, Rule, inspect
from forecaster.data.series import DAY
from forecaster.data.synthetic import (
    MINUTE,
    MONDAY,
    SERVICES,
    Kind,
    ServiceSpec,
    generate,
    generate_history,
)

CALM = ServiceSpec(
    "shop/api", 100.0, growth=0, drift=0, promotions=0, flash_crowds=0, deploys=0, outages=0
)


def values_of(spec: ServiceSpec, days: int = 14, *, step=MINUTE, seed=1) -> np.ndarray:
    return generate((spec,), MONDAY, days * DAY, step=step, seed=seed).history[spec.item_id].values


@given(st.integers(0, 2**32), st.sampled_from([30, 60, 300, 900]))
def test_the_same_seed_gives_the_same_traffic(seed, step):
    one, other = (generate_history(3, 1, step=timedelta(seconds=step), seed=seed) for _ in "ab")
    assert (one.events, one.history.item_ids) == (other.events, other.history.item_ids)
    for mine, yours in zip(one.history, other.history, strict=True):
        assert mine.values.tobytes() == yours.values.tobytes()
        assert len(mine) == 86_400 // step


def test_another_seed_gives_other_traffic():
    one, other = (generate_history(1, 1, seed=seed).history.series[0] for seed in (1, 2))
    assert not np.array_equal(one.values, other.values)


def test_an_additional_item_changes_none_of_the_others():
    few, many = generate_history(2, 7, seed=3).history, generate_history(20, 7, seed=3).history
    assert len(set(many.item_ids)) == 20
    for item in few:
        assert item.values.tobytes() == many[item.item_id].values.tobytes()


def test_the_quality_pass_finds_only_the_outages():
    traffic = generate_history(16, 28, seed=7)
    report = inspect(RawSeries.of(series) for series in traffic.history)
    assert {found.rule for found in report.findings} == {Rule.GAP, Rule.AFTER_OUTAGE}


def test_an_outage_is_missing_and_never_zero_and_the_rate_after_it_is_falsely_low():
    spec = replace(CALM, outages=2.0)
    traffic = generate((spec,), MONDAY, 7 * DAY, seed=4)
    values = traffic.history["shop/api"].values
    outages = [event for event in traffic.surprises if event.kind is Kind.OUTAGE]
    assert outages
    for outage in outages:
        first, last = ((at - MONDAY) // MINUTE for at in (outage.start, outage.end))
        assert np.isnan(values[first:last]).all()
        assert values[last] < 0.5 * np.nanmedian(values[last + 6 : last + 20])


def test_announced_promotions_raise_demand_while_they_last():
    spec = replace(CALM, promotions=4.0)
    traffic = generate((spec,), MONDAY, 14 * DAY, seed=2)
    values, usual = traffic.history["shop/api"].values, values_of(CALM)
    assert traffic.events
    assert any(event.kind is Kind.PROMOTION for event in traffic.surprises)
    for event in traffic.events:
        assert event.kind is Kind.PROMOTION
        during = slice((event.start - MONDAY) // MINUTE + 6, (event.end - MONDAY) // MINUTE)
        assert values[during].mean() > 1.15 * usual[during].mean()


@pytest.mark.parametrize(
    ("changes", "kind", "higher"),
    [
        pytest.param({"flash_crowds": 3.0}, Kind.FLASH_CROWD, True, id="flash crowds"),
        pytest.param({"deploys": 8.0}, Kind.DEPLOY, False, id="deploy dips"),
    ],
)
def test_surprises_are_listed_and_change_the_demand(changes, kind, higher):
    traffic = generate((replace(CALM, **changes),), MONDAY, 7 * DAY, seed=3)
    ratio = traffic.history["shop/api"].values / values_of(CALM, 7, seed=3)
    assert {event.kind for event in traffic.surprises} == {kind}
    assert traffic.events == ()
    for event in traffic.surprises:
        during = ratio[(event.start - MONDAY) // MINUTE : (event.end - MONDAY) // MINUTE]
        assert during.max() > 1.8 if higher else during.mean() < 0.9


def test_the_noise_is_poisson():
    flat = replace(CALM, night=1.0)
    counts = values_of(flat) * 60
    assert counts.mean() == pytest.approx(6000, rel=0.01)  # 100 qps x 60 s
    assert counts.var() == pytest.approx(6000, rel=0.05)  # Poisson: variance = mean


def test_daily_and_weekly_seasons_repeat():
    by_day = values_of(replace(CALM, weekend=0.5)).reshape(14, 1440)
    assert np.corrcoef(by_day[0], by_day[7])[0, 1] > 0.98
    assert by_day[5:7].mean() == pytest.approx(0.5 * by_day[:5].mean(), rel=0.05)


def test_working_hours_have_sharp_edges():
    day = values_of(replace(CALM, office=True, night=0.1), 1).reshape(24, 60).mean(axis=1)
    assert day[9] > 4 * day[6]
    assert day[12] < 0.9 * day[10]  # lunch


def test_scheduled_jobs_start_at_their_minute():
    extra = values_of(replace(CALM, pulses=(5,), pulse=1.0), 1) - values_of(CALM, 1)
    by_minute = extra.reshape(24, 60).mean(axis=0)
    assert by_minute.argmax() == 5
    assert by_minute[5] == pytest.approx(100.0, rel=0.1)  # 1.0 x 100 qps


def test_the_level_drifts_and_grows():
    wandering = values_of(replace(CALM, drift=0.2), 28).reshape(28, 1440).mean(axis=1)
    growing = values_of(replace(CALM, growth=0.1), 28).reshape(4, -1).mean(axis=1)
    assert np.log(wandering).std() > 0.05
    assert growing[3] / growing[0] == pytest.approx(1.1**3, rel=0.01)


def test_a_coarser_step_has_the_same_mean():
    for spec in SERVICES:
        calm = replace(CALM, item_id=spec.item_id, pulses=spec.pulses, pulse=spec.pulse)
        fine, coarse = (values_of(calm, step=step).mean() for step in (MINUTE, 15 * MINUTE))
        assert coarse == pytest.approx(fine, rel=0.05)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: generate_history(0), "n_items", id="no items"),
        pytest.param(lambda: generate_history(1, 0), "days", id="no days"),
        pytest.param(lambda: replace(CALM, level_qps=0.0), "level_qps", id="no level"),
        pytest.param(lambda: replace(CALM, night=1.5), "night", id="night above day"),
        pytest.param(lambda: replace(CALM, deploys=-1.0), "per week", id="negative deploys"),
    ],
)
def test_impossible_services_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()

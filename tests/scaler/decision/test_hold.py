"""What is held while demand is implausibly low, for how long, and when it is over."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.capacity import given_capacity
from scaler.decision.decide import (
    DecisionSettings,
    Observation,
    decide,
    initial_state,
    rebased_state,
)
from scaler.decision.demand import NO_FORECAST, DemandReason, LeadDemand
from scaler.decision.hold import OVER_S, HoldRules, LowSpell, held_qps, updated_spell
from scaler.decision.replicas import ScalePolicy

LOW, DOWN, NAN = 1000.0, 50.0, math.nan
RULES = HoldRules(share=0.8, for_s=7200.0)
SETTINGS = DecisionSettings(
    given_capacity(100.0), ScalePolicy(1, 100, 0.8, stabilization_s=0.0), hold=RULES
)
MINUTE = 60.0


def spells(*observed: float, low: float = LOW, every_s: float = MINUTE) -> list[LowSpell | None]:
    """Return the spell after each observation."""
    found: list[LowSpell | None] = []
    for place, qps in enumerate(observed):
        found.append(updated_spell(found[-1] if found else None, qps, low, place * every_s))
    return found


@pytest.mark.parametrize(
    ("observed", "low", "is_low"),
    [
        pytest.param(249.0, LOW, True, id="below a quarter of the low"),
        pytest.param(250.0, LOW, False, id="a quarter of it is plausible"),
        pytest.param(0.0, LOW, True, id="nothing at all"),
        pytest.param(NAN, LOW, False, id="what is not known begins no spell"),
        pytest.param(0.0, NAN, False, id="a young service has no low"),
        pytest.param(0.0, 0.0, False, id="where nothing is usual, nothing is low"),
    ],
)
def test_demand_is_implausible(observed, low, is_low):
    assert (spells(observed, low=low)[-1] is not None) == is_low


def test_a_spell_ends_after_a_quarter_of_an_hour_of_plausible_demand():
    back = int(OVER_S / MINUTE)
    found = spells(DOWN, *[LOW] * (back + 1))
    assert [one is None for one in found] == [False] * (back + 1) + [True]


def test_what_flaps_is_one_spell():
    found = spells(*[DOWN, LOW, LOW, LOW] * 30)
    assert {one.since for one in found} == {0.0}


@pytest.mark.parametrize("unknown", [{"observed_qps": NAN}, {"low_qps": NAN}])
def test_what_is_not_known_ends_no_spell(unknown):
    spell = LowSpell(0.0, plausible_since=60.0)
    known = {"observed_qps": LOW, "low_qps": LOW}
    assert updated_spell(spell, **{**known, **unknown}, now=1e6) == spell


@pytest.mark.parametrize(
    ("rules", "after_s", "held"),
    [
        pytest.param(RULES, 0.0, 800.0, id="its share"),
        pytest.param(RULES, 7199.0, 800.0, id="until its time is over"),
        pytest.param(RULES, 7200.0, NAN, id="and no longer"),
        pytest.param(replace(RULES, share=0.0), 0.0, NAN, id="no share holds nothing"),
        pytest.param(replace(RULES, for_s=0.0), 0.0, NAN, id="nor does no time"),
    ],
)
def test_a_spell_holds(rules, after_s, held):
    found = held_qps(LowSpell(100.0), LOW, rules, 100.0 + after_s)
    assert found == pytest.approx(held, nan_ok=True)


@pytest.mark.parametrize("wrong", [{"share": -0.1}, {"share": 1.1}, {"share": NAN}, {"for_s": -1}])
def test_rules_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        HoldRules(**wrong)


def decisions(*observed: float, every_s: float = MINUTE, settings=SETTINGS):
    state, found = initial_state(10, 0.0), []
    for place, qps in enumerate(observed):
        observation = Observation(place * every_s, qps, NO_FORECAST, 10.0, low_qps=LOW)
        found.append(decide(observation, state, settings))
        state = found[-1].state
    return found


def test_a_service_that_is_used_no_more_is_followed_down_once_and_for_good():
    found = decisions(LOW, *[DOWN] * 300)
    held = [one.demand.reason is DemandReason.HELD for one in found]
    assert held == [False] + [True] * 120 + [False] * 180  # two hours
    assert {one.plan.replicas for one in found[1:121]} == {10}  # 1000 x 0.8 / (100 x 0.8)
    assert {one.plan.replicas for one in found[121:]} == {1}


def test_what_came_back_for_long_enough_is_held_again():
    found = decisions(*[DOWN] * 130, *[LOW] * 16, DOWN)
    assert found[-2].demand.reason is DemandReason.REACTIVE
    assert found[-1].demand.reason is DemandReason.HELD
    assert decisions(*[DOWN] * 130, *[LOW] * 14, DOWN)[-1].demand.reason is DemandReason.REACTIVE


def test_a_clock_that_is_set_ends_no_hold_and_makes_none_longer():
    state = replace(initial_state(10, 0.0), low_spell=LowSpell(100.0, 160.0))
    assert rebased_state(state, 3600.0).low_spell == LowSpell(3700.0, 3760.0)
    assert rebased_state(initial_state(10, 0.0), 3600.0).low_spell is None


qps = st.floats(0, 1e6)
forecasts = st.builds(LeadDemand, qps | st.just(NAN), qps, qps, qps, st.booleans())


@given(
    st.lists(st.tuples(qps | st.just(NAN), qps | st.just(NAN), forecasts), min_size=1, max_size=8),
    st.sampled_from([15.0, 600.0, 3600.0]),
)
def test_a_hold_never_lowers_a_plan_or_moves_a_limit(happens, every_s):
    off, state = replace(SETTINGS, hold=HoldRules(share=0.0)), initial_state(10, 0.0)
    for place, (observed, low, forecast) in enumerate(happens):
        observation = Observation(place * every_s, observed, forecast, 10.0, low_qps=low)
        held, plain = (decide(observation, state, one) for one in (SETTINGS, off))
        assert held.plan.replicas >= plain.plan.replicas
        assert held.limit == plain.limit
        state = held.state

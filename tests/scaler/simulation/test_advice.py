"""What a replay's page says on top: words before figures, and what to do next."""

from dataclasses import replace

import pytest

from scaler.decision.trust import Standing
from scaler.simulation import advice
from scaler.simulation.contest import FLOOR_ONLY, HPA, TIDEGATE
from scaler.simulation.findings import share
from tests.scaler.simulation.contest_samples import small_contest, with_frontier, with_table


def with_model():
    """Return the small contest, as if its forecast were a model's."""
    held = small_contest()
    return replace(held, setting=replace(held.setting, ours=replace(held.setting.ours)))


def steps_of(contest) -> str:
    return " ".join(advice.next_steps(contest))


def test_the_words_and_the_objective_are_told_before_the_findings():
    said = advice.intro(small_contest())
    for word in ("replica-hours", "violation", "SLO", "target"):
        assert word in said
    assert "500 ms" in said
    assert "allows 0.1 %" in said


def test_each_figure_on_top_is_held_against_the_hpa_or_what_was_asked_for():
    held = small_contest()
    tiles = {tile.name: tile for tile in advice.page_findings(held, limited=False).tiles}
    hpa = next(found for found in held.table if found.name == HPA)
    assert f"HPA: {hpa.replica_hours:,.1f}" in tiles["replica-hours"].below
    assert tiles["violations"].below == [f"HPA: {share(hpa.violations)}", "allowed: 0.1 %"]
    assert all(tile.below for tile in tiles.values())


def test_training_comes_first_where_no_model_forecast():
    assert advice.next_steps(small_contest())[0] == advice.TRAIN
    assert advice.TRAIN not in advice.next_steps(with_model())


CHEAP = {"replica_hours": 80.0, "violations": 0.0004}
DEAR = {"replica_hours": 100.0, "violations": 0.0004}


def test_a_replay_that_was_won_ends_in_recommend_and_then_enforce():
    assert advice.WATCH in steps_of(with_table(hpa=DEAR, tidegate=CHEAP))
    assert advice.WATCH not in steps_of(with_table(hpa=CHEAP, tidegate=DEAR))


@pytest.mark.parametrize(
    ("alone", "told"),
    [
        pytest.param(100.0, True, id="the target of the HPA costs more than tidegate"),
        pytest.param(80.0, False, id="it does not"),
    ],
)
def test_the_hpas_target_is_to_be_raised_where_it_spends_what_the_floor_saves(alone, told):
    found = with_table(hpa=DEAR, tidegate=CHEAP, **{FLOOR_ONLY: {"replica_hours": alone}})
    assert ("raise your HPA's own target from" in steps_of(found)) is told


@pytest.mark.parametrize(
    ("points", "said"),
    [
        pytest.param([], advice.SWEEP, id="without a sweep, nothing is known of targets"),
        pytest.param([(TIDEGATE, 0.8, 1.0, 0.01)], advice.JUMPS, id="no target keeps the SLO"),
        pytest.param(
            [(TIDEGATE, 0.95, 1.0, 0.0005)],
            "Consider `targetUtilization: 0.95` where the policy has 0.9",
            id="another is cheaper and keeps it",
        ),
    ],
)
def test_another_target_is_advised_where_it_was_better(points, said):
    assert said in steps_of(with_frontier(*points))


def test_no_other_target_is_advised_where_the_policys_own_is_the_cheapest():
    assert "Consider" not in steps_of(with_frontier((TIDEGATE, 0.9, 1.0, 0.0005)))


def test_a_forecast_that_was_set_aside_is_told():
    held = small_contest()
    path = (replace(held.trust[0], standing=Standing.BENCHED),)
    assert advice.BENCHED in steps_of(replace(held, trust=path))


@pytest.mark.parametrize("limited", [True, False])
def test_limits_are_a_next_step_where_they_were_not_replayed(limited):
    steps = advice.page_findings(small_contest(), limited=limited).steps
    assert (advice.LIMITS in steps) is not limited

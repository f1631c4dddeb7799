"""A time budget reduces members, epochs and steps to what fits into it."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from forecaster.models.config import TrainConfig
from forecaster.models.lstm_budget import OVERHEAD, within_budget
from tests.forecaster.evaluation.fitting_samples import TINY


def work(plan: TrainConfig) -> int:
    return plan.members * plan.epochs * plan.steps_per_epoch


BUDGETS = st.floats(0.05, 3_000)
CONFIGS = st.builds(
    TrainConfig, members=st.integers(1, 6), epochs=st.integers(1, 12), steps_per_epoch=st.just(250)
)


@given(config=CONFIGS, budget=BUDGETS, step=st.floats(1e-4, 0.5))
def test_a_plan_fits_its_budget_and_never_exceeds_the_config(config, budget, step):
    plan = within_budget(replace(config, time_budget=timedelta(seconds=budget)), step)
    seconds = plan.time_budget.total_seconds()
    assert work(plan) * step * OVERHEAD <= seconds * (1 + 1e-9) or work(plan) == 1
    assert 1 <= plan.members <= config.members
    assert 1 <= plan.epochs <= config.epochs
    assert 1 <= plan.steps_per_epoch <= config.steps_per_epoch


@given(config=CONFIGS, budgets=st.tuples(BUDGETS, BUDGETS), step=st.floats(1e-4, 0.5))
def test_more_time_never_plans_less_work(config, budgets, step):
    plans = [
        within_budget(replace(config, time_budget=timedelta(seconds=budget)), step)
        for budget in sorted(budgets)
    ]
    assert work(plans[0]) <= work(plans[1])
    assert plans[0].members <= plans[1].members


def test_without_a_budget_the_config_is_unchanged():
    assert within_budget(TINY, 1e9) == TINY

"""The figures of earned trust: null services save exactly nothing, and regimes last as they say."""

import numpy as np
import pytest

from benchmarks.trust import HORIZON, NEVER, RULES, Ledger, days_until, drawn
from scaler.decision.earned_trust import AutoStanding, FloorEvidence

DAYS = np.arange(10.0)


def ledger() -> Ledger:
    rng = np.random.default_rng(0)
    share = np.abs(rng.normal(0.0, 0.01, 10))
    return Ledger("shop", rng.normal(-3.0, 1.0, (10, 24)), share, share, 20.0)


def test_a_null_service_saves_exactly_nothing_or_breaks_exactly_the_budget():
    assert ledger().centred.mean() == pytest.approx(0.0, abs=1e-12)
    assert ledger().at_budget.mean() == pytest.approx(RULES.budget)


@pytest.mark.parametrize("length", [1, 2, 7, 14])
def test_a_block_goes_on_day_by_day_or_holds_one(length):
    rng = np.random.default_rng(0)
    onward = drawn(DAYS, (length, False), 50, rng)
    held = drawn(DAYS, (length, True), 50, rng)
    assert onward.shape == held.shape == (50, HORIZON)
    within = np.arange(1, HORIZON) % length > 0
    assert (np.diff(onward, axis=1) % 10 == 1)[:, within].all()
    assert (np.diff(held, axis=1) == 0)[:, within].all()


@pytest.mark.parametrize(("saved", "days"), [(20.0, 45), (0.0, NEVER)])
def test_a_service_is_promoted_when_both_tests_have_passed(saved, days):
    until = days_until(AutoStanding.EARNED, [-saved] * HORIZON, [0.0] * HORIZON, FloorEvidence())
    assert until == days

"""Pasts are read a few at a time, and those that cannot be read do not stand before the others."""

from __future__ import annotations

from scaler.control.demand_history import AT_ONCE, DemandHistory
from tests.scaler.control.test_loop import START, STEP, Demand, watched


def test_pasts_that_fail_are_tried_after_those_that_were_not_tried():
    names = [f"shop/web-{n:04d}" for n in range(5 * AT_ONCE)]
    failing = set(names[: 4 * AT_ONCE])
    traffic = Demand()
    traffic.qps = dict.fromkeys(names, 100.0)
    traffic.faults = dict.fromkeys(failing, "no answer within 5 s")
    policies = [watched(name).policy for name in names]
    history = DemandHistory(traffic, STEP)
    for tick in range(5):  # the first are due again at the fifth
        history.take_up(policies, START + 15.0 * tick)
    assert all(name in history for name in set(names) - failing)

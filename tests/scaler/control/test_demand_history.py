"""Pasts are read a few at a time, and those that cannot be read do not stand before the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

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


class Marked(Demand):
    """A past in which two hours, and more than a day, are marked; ``told`` is said instead."""

    told = None

    def histories(self, queries, length, now):
        return [
            self._marks(item, length, now) if query == "incidents" else one
            for (item, query), one in zip(
                queries, super().histories(queries, length, now), strict=True
            )
        ]

    def _marks(self, item, length, now):
        values = np.full(length // STEP, np.nan)
        values[[*range(100, 220), *range(1000, 2500)]] = 1.0
        marks = replace(self._history(item, length, now), values=values)
        return self.told or marks.between(marks.start, marks.end - 5 * STEP)  # it was asked earlier


@pytest.mark.parametrize(
    ("told", "missing"),
    [(None, [*range(100, 220), *range(1000, 2441)]), ("no answer", [])],
    ids=["read", "not read"],
)
def test_a_past_is_without_what_is_marked_for_up_to_a_day(told, missing):
    traffic = Marked(shop_web=100.0)
    traffic.told = told
    history = DemandHistory(traffic, STEP)
    policy = watched(mask_query="incidents").policy
    assert history.take_up([policy], START) == ["shop/web"]
    values = history.series(policy).values
    assert np.flatnonzero(np.isnan(values)).tolist() == missing


class Poisoned(Demand):
    """A past with a reset, an outage, and a spike at its end."""

    def _history(self, item, length, now):
        past = super()._history(item, length, now)
        values = past.values * (1 + 0.1 * np.sin(np.arange(len(past.values))))
        values[[5000, -1]] = 1e6
        values[6000:6010], values[6010] = np.nan, 1.0
        return replace(past, values=values)


def test_a_past_passes_the_rules_of_training():
    history = DemandHistory(Poisoned(shop_web=100.0), STEP)
    policy = watched().policy
    history.take_up([policy], START)
    values = history.series(policy).values
    assert np.nanmax(values) < 200.0
    assert np.flatnonzero(np.isnan(values)).tolist() == [
        5000, *range(6000, 6011), len(values) - 1
    ]  # fmt: skip
    assert history.known_until("shop/web") == history.series(policy).stamps[-2]

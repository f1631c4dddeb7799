"""Levels of known clients and newcomers, by class."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.gateway.class_parts import ClassPart
from scaler.gateway.demand_curve import DemandCurve
from scaler.gateway.fair_levels import (
    PoolCurves,
    ShareCapacity,
    Usual,
    fair_levels,
)
from tests.scaler.gateway.test_demand_curve import curve_of

NOTHING = Usual(0.1, {})
COUNTS = st.lists(st.integers(1, 60), max_size=25)


def curves(known=(), newcomers=()) -> PoolCurves:
    return PoolCurves(curve_of(known), curve_of(newcomers))


def levels_of(found: dict[str, PoolCurves], share: ShareCapacity, usual: Usual = NOTHING):
    return fair_levels(found, share, 1.0, 1.0, usual)


def test_where_all_fit_nobody_has_a_level():
    found = levels_of({"": curves([5, 80], [15])}, ShareCapacity(100.0, 100.0))[""]

    assert (found.known, found.newcomers) == (math.inf, math.inf)


def test_newcomers_have_what_known_clients_leave():
    found = levels_of({"": curves([5] * 10, [1] * 500)}, ShareCapacity(100.0, 100.0))[""]

    assert found.known == math.inf
    assert found.newcomers == pytest.approx(0.1)  # 50 of 500


def test_newcomers_have_their_usual_share_in_any_case():
    usual = Usual(0.25, {})
    found = levels_of({"": curves([20] * 10, [1] * 500)}, ShareCapacity(100.0, 100.0), usual)[""]

    assert found.newcomers == pytest.approx(25 / 500)
    assert found.known == pytest.approx(75 / 10)


def test_the_usual_share_of_newcomers_is_not_kept_free_where_they_are_fewer():
    found = levels_of({"": curves([20] * 10, [1] * 2)}, ShareCapacity(100.0, 100.0))[""]

    assert found.newcomers == math.inf
    assert found.known == pytest.approx(98 / 10)


SHARE = ShareCapacity(
    100.0, 20.0, (ClassPart("pay", 40.0, 100.0), ClassPart("browse", 40.0, 100.0))
)


def test_a_flood_in_the_first_class_leaves_the_others_theirs():
    flood = {"pay": curves([1] * 10 + [300]), "browse": curves([2] * 20)}
    found = levels_of(flood, SHARE)

    assert flood["browse"].within(found["browse"]) == 40
    assert found["pay"].known == pytest.approx(100 - 10 - 40, rel=0.07)


def test_the_usual_share_of_a_class_is_served_to_heavy_clients_too():
    crowd = {"pay": curves([20]), "browse": curves([10] * 20)}
    without = levels_of(crowd, SHARE)
    usual = levels_of(crowd, SHARE, Usual(0.1, {"pay": 0.1, "browse": 0.9}))

    assert without["pay"].known < 10
    assert usual["pay"].known == math.inf


def test_the_class_that_comes_first_has_the_spare_first():
    crowd = {"pay": curves([1] * 60), "browse": curves([1] * 60)}
    found = levels_of(crowd, SHARE, Usual(0.1, {"pay": 0.5, "browse": 0.5}))

    assert found["pay"].known == math.inf
    assert found["browse"].known == pytest.approx(40 / 60)


def test_a_class_stays_below_its_ceiling():
    share = ShareCapacity(100.0, 60.0, (ClassPart("pay", 40.0, 50.0),))

    assert levels_of({"pay": curves([1] * 90)}, share)["pay"].known == pytest.approx(50 / 90)


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.floats(1, 400))
def test_what_is_within_levels_fits_the_limit(known, new, others, other_new, limit):
    asked = {"pay": curves(known, new), "bulk": curves(others, other_new)}
    own = min(asked["pay"].total, limit)
    share = ShareCapacity(
        limit, limit - own, (ClassPart("pay", own, limit), ClassPart("bulk", 0.0, limit))
    )
    found = levels_of(asked, share)

    total = sum(asked[name].within(levels) for name, levels in found.items())
    assert total <= limit * (1 + 1e-6)
    if sum(one.total for one in asked.values()) <= limit:
        assert all(one.known == one.newcomers == math.inf for one in found.values())


def test_an_empty_window_has_no_level():
    assert DemandCurve().level(0.0) == math.inf

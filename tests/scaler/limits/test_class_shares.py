"""A limit is divided by class over all gateways, then among owners, then among their gateways."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits.class_shares import FEW, Claims, fair_parts, of_gateway, within
from scaler.limits.priority_classes import ClassReason, PriorityClass

PAY, BULK = PriorityClass("pay", 0, guaranteed_qps=400.0), PriorityClass("bulk", 1)
STRESS = PriorityClass("stress", 9, ceiling_qps=40.0)
UNKNOWN = math.nan

wants = st.sampled_from([0.0, 0.3, 2.0, UNKNOWN, 1e9]) | st.floats(0, 800)
rows = st.lists(st.tuples(wants, wants, wants, wants, st.integers(0, 3)), min_size=1, max_size=30)


def claims(*gateways, owners=None):
    """Return what gateways want of each class, and last of none."""
    table = np.array(gateways, dtype=float)
    numbers = np.zeros(len(table), dtype=int) if owners is None else np.array(owners)
    return Claims(table[:, :-1], table[:, -1], numbers)


def drawn(found):
    names = {owner: number for number, owner in enumerate(dict.fromkeys(row[-1] for row in found))}
    return claims(*(row[:-1] for row in found), owners=[names[row[-1]] for row in found])


def test_a_class_has_its_guarantee_wherever_its_requests_arrive():
    paid, flooded = [(200.0, 0.0, 0.0)] * 2, [(0.0, 400.0, 0.0)] * 6
    parts = fair_parts(1000.0, [PAY, BULK], claims(*paid, *flooded))
    assert parts.qps[:, 0].tolist() == pytest.approx([200.0, 200.0, *[0.0] * 6])
    assert parts.qps[2:, 1] == pytest.approx([100.0] * 6)  # of the 600 that are left
    assert parts.spare == pytest.approx([0.0] * 8)


def test_within_a_class_gateways_get_the_max_min_fair_part():
    parts = fair_parts(1000.0, [BULK], claims((900.0, 0.0), (500.0, 0.0), (100.0, 0.0)))
    assert parts.qps[:, 0].tolist() == pytest.approx([450.0, 450.0, 100.0])
    reasons = [of_gateway(parts, row, [BULK]).classes[0].reason for row in range(3)]
    assert reasons == [ClassReason.LIMIT, ClassReason.LIMIT, ClassReason.DEMAND]


def test_what_is_of_no_class_shares_what_classes_leave():
    parts = fair_parts(1000.0, [PAY], claims((100.0, 900.0), (0.0, 200.0)))
    assert parts.qps[:, 0].sum() == pytest.approx(400.0)  # its guarantee is kept while it is idle
    assert parts.spare.tolist() == pytest.approx([400.0, 200.0])


@pytest.mark.parametrize(
    ("busy", "spares"),
    [
        pytest.param((600.0, 200.0), (600 + 75 + 50, 200 + 25 + 50), id="half evenly"),
        pytest.param(
            (40.0, 10.0), (40 + 40 + 450, 10 + 10 + 450), id="no more than twice, at most"
        ),
        pytest.param((0.0, 0.0), (500.0, 500.0), id="evenly where nobody wants anything"),
    ],
)
def test_headroom_is_for_demand_that_grows_and_for_demand_that_moves(busy, spares):
    parts = fair_parts(1000.0, [], claims(*((qps,) for qps in busy)))
    assert parts.spare.tolist() == pytest.approx(spares)


def test_a_thousand_names_of_one_owner_get_its_fair_part_and_no_more():
    made_up, theirs = [(1e9,)] * 1000, [(300.0,), (80.0,)]
    owners = [0] * 1000 + [1, 1]
    parts = fair_parts(1000.0, [], claims(*made_up, *theirs, owners=owners))
    assert parts.spare[-2:] == pytest.approx([300.0, 80.0], rel=0.01)
    assert parts.spare[:-2].sum() == pytest.approx(620.0, rel=0.01)


def test_a_gateway_that_has_just_come_wants_what_is_usual():
    parts = fair_parts(900.0, [PAY], claims((100.0, 200.0), (100.0, 200.0), (UNKNOWN, UNKNOWN)))
    assert parts.totals.tolist() == pytest.approx([300.0] * 3)
    last = of_gateway(parts, 2, [PAY]).classes[0]
    assert (last.qps, last.reason) == (pytest.approx(400 / 3), ClassReason.UNKNOWN)


def test_a_guarantee_goes_with_all_demand_where_nobody_tells_classes_apart():
    parts = fair_parts(1000.0, [PAY], claims((UNKNOWN, 450.0), (UNKNOWN, 150.0)))
    assert parts.qps[:, 0].tolist() == pytest.approx([250.0, 150.0])  # half of it evenly


def test_a_gateway_that_does_not_tell_classes_apart_takes_nothing_from_those_that_do():
    parts = fair_parts(1000.0, [PAY], claims((400.0, 0.0), (UNKNOWN, 5000.0)))
    assert parts.qps[:, 0].tolist() == pytest.approx([400.0, 0.0])
    assert parts.spare[1] == pytest.approx(600.0)


def test_of_a_smaller_share_guarantees_are_kept_first():
    pay = PriorityClass("pay", 5, guaranteed_qps=400.0)
    whole = of_gateway(fair_parts(1000.0, [pay, BULK], claims((400.0, 900.0, 0.0))), 0, [pay, BULK])
    smaller = within(450.0, whole)
    assert [one.qps for one in smaller.classes] == pytest.approx([400.0, 50.0])
    assert smaller.classes[1].reason is ClassReason.LIMIT


def test_where_gateways_are_many_the_report_of_one_changes_few_leases():
    rng = np.random.default_rng(0)
    table = np.column_stack((rng.gamma(3, 2, 400), rng.gamma(3, 3, 400)))
    one = fair_parts(8000.0, [PAY], claims(*table))
    table[7] *= 1.2
    other = fair_parts(8000.0, [PAY], claims(*table))
    moved = (one.qps != other.qps).any(axis=1) | (one.spare != other.spare)
    assert moved.sum() < 20


@given(st.floats(0, 2000), rows)
def test_no_more_is_handed_out_than_there_is(available, found):
    parts = fair_parts(available, [PAY, BULK, STRESS], drawn(found))
    slack = 1e-9 * (1 + available)
    assert parts.totals.sum() <= available + slack
    assert (parts.qps >= 0).all()
    assert (parts.spare >= 0).all()
    assert parts.guaranteed.sum(axis=0)[0] <= 400.0 + slack
    assert (parts.guaranteed <= parts.qps + slack).all()
    assert parts.ceilings[:, 2].sum() <= 40.0 + slack
    if len(found) <= FEW:
        assert parts.totals.sum() == pytest.approx(available)


@given(st.floats(10, 2000), rows)
def test_no_owner_gets_more_of_a_class_than_one_that_is_short_of_it(available, found):
    asked = drawn(found)
    wanted, _ = asked.filled()
    parts = fair_parts(available, [BULK], Claims(asked.classes[:, :1], asked.other, asked.owners))
    got = np.bincount(asked.owners, weights=parts.qps[:, 0])
    wanted_by = np.bincount(asked.owners, weights=wanted[:, 0])
    short = got < wanted_by * 0.98 - 0.1
    if short.any():
        assert got.max() <= got[short].min() * 1.02 + 0.1


@given(st.floats(10, 2000), rows, st.randoms(use_true_random=False))
def test_the_order_of_gateways_does_not_matter(available, found, random):
    order = random.sample(range(len(found)), len(found))
    parts = fair_parts(available, [PAY, STRESS], drawn([(*r[:2], r[3], r[4]) for r in found]))
    again = fair_parts(
        available, [PAY, STRESS], drawn([(*found[i][:2], *found[i][3:]) for i in order])
    )
    # Parts of many are rounded down, to a step less where a sum ends in another digit.
    assert again.totals == pytest.approx(parts.totals[order], rel=0.02, abs=0.02)

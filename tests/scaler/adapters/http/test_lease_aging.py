"""The aging of a published limit: a lease never states more than still holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.http.lease_aging import CELL_S, aged, cell_of
from scaler.decision.limit import Limit, LimitReason
from scaler.limits.published_limit import PublishedLimit
from scaler.limits.schedule import LimitStep, SafeLimit

QPS = st.floats(0, 1000).map(round).map(float)


def published(now: float, *steps: tuple[float, float]) -> PublishedLimit:
    schedule = tuple(LimitStep(*step) for step in steps)
    limit = Limit(now, 10, LimitReason.CAPACITY)
    return PublishedLimit(limit, schedule, SafeLimit(0.0, LimitReason.FLOOR), (), 1, 1.0)


def in_force(now: float, steps: tuple[LimitStep, ...] | list[LimitStep], at: float) -> float:
    return ([now] + [step.qps for step in steps if step.in_s <= at])[-1]


@pytest.mark.parametrize(
    ("age", "leased"),
    [
        pytest.param(0.0, (200.0, [(10.0, 100.0), (60.0, 300.0)]), id="a fall is announced early"),
        pytest.param(4.9, (200.0, [(10.0, 100.0), (60.0, 300.0)]), id="the same within a cell"),
        pytest.param(5.0, (200.0, [(5.0, 100.0), (55.0, 300.0)]), id="nearer in the next cell"),
        pytest.param(10.0, (100.0, [(50.0, 300.0)]), id="a fall within two cells is now"),
        pytest.param(70.0, (200.0, []), id="the limit itself rises only with a tick"),
    ],
)
def test_a_schedule_moves_with_time(age, leased):
    now = aged(published(200.0, (15.0, 100.0), (60.0, 300.0)), cell_of(age))
    assert (now.qps, [(step.in_s, step.qps) for step in now.steps]) == leased


def test_a_schedule_without_a_change_does_not_move_between_ticks():
    flat = published(200.0, (15.0, 200.0), (300.0, 200.0))
    assert [aged(flat, cell).steps[0].in_s for cell in range(4)] == [300.0] * 4


@given(
    QPS,
    st.lists(st.tuples(st.integers(1, 300), QPS), max_size=6, unique_by=lambda s: s[0]),
    st.floats(0, 200),
    st.floats(0, 0.999),
    st.floats(0, 120),
)
def test_a_renewal_at_any_time_of_a_cell_never_admits_more_than_the_schedule(
    limit, steps, age, within, later
):
    """Issued at one time of a cell, renewed at another, acted on ``later`` after that."""
    limit_published = published(limit, *((float(at), qps) for at, qps in sorted(steps)))
    cell = cell_of(age)
    leased = aged(limit_published, cell)
    renewed_at = (cell + within) * CELL_S
    truth = in_force(limit, limit_published.schedule, renewed_at + later)
    acted_on = in_force(leased.qps, leased.steps, later)
    assert acted_on <= truth

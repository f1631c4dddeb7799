"""What is told of a schedule as time goes by: never more than is true."""

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
    ("age", "told"),
    [
        pytest.param(0.0, (200.0, [(10.0, 100.0), (60.0, 300.0)]), id="a fall is told early"),
        pytest.param(4.9, (200.0, [(10.0, 100.0), (60.0, 300.0)]), id="alike within a cell"),
        pytest.param(5.0, (200.0, [(5.0, 100.0), (55.0, 300.0)]), id="nearer in the next one"),
        pytest.param(10.0, (100.0, [(50.0, 300.0)]), id="a fall within two cells is now"),
        pytest.param(70.0, (200.0, []), id="the limit itself rises with a tick only"),
    ],
)
def test_a_schedule_slides(age, told):
    now = aged(published(200.0, (15.0, 100.0), (60.0, 300.0)), cell_of(age))
    assert (now.qps, [(step.in_s, step.qps) for step in now.steps]) == told


def test_a_schedule_that_says_nothing_new_does_not_slide_between_ticks():
    flat = published(200.0, (15.0, 200.0), (300.0, 200.0))
    assert [aged(flat, cell).steps[0].in_s for cell in range(4)] == [300.0] * 4


@given(
    QPS,
    st.lists(st.tuples(st.integers(1, 300), QPS), max_size=6, unique_by=lambda s: s[0]),
    st.floats(0, 200),
    st.floats(0, 0.999),
    st.floats(0, 120),
)
def test_a_gateway_that_counts_from_any_moment_of_the_cell_never_admits_more_than_is_true(
    limit, steps, age, within, later
):
    """Told at one moment of a cell, renewed at another, acted on ``later`` after that."""
    said = published(limit, *((float(at), qps) for at, qps in sorted(steps)))
    cell = cell_of(age)
    told = aged(said, cell)
    renewed_at = (cell + within) * CELL_S
    truth = in_force(limit, said.schedule, renewed_at + later)
    acted_on = in_force(told.qps, told.steps, later)
    assert acted_on <= truth

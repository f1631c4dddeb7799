"""Guarantees first, then the rest in order of priority; the parts never exceed the whole."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits.priority_classes import ClassReason, PriorityClass, admitted, split

PAY = PriorityClass("pay", 0, guaranteed_qps=100)
WEB = PriorityClass("web", 1, guaranteed_qps=50)
BOT = PriorityClass("bot", 1)
STRESS = PriorityClass("stress", 9, ceiling_qps=40)
MENU = (STRESS, WEB, PAY)
DEMAND, CEILING, LIMIT, SHRUNK, UNKNOWN = ClassReason
demand = st.floats(0, 1000) | st.just(math.nan)


@st.composite
def class_lists(draw):
    """Up to five classes, in any order of priority."""
    classes = []
    for name in "abcde"[: draw(st.integers(1, 5))]:
        guaranteed = draw(st.floats(0, 300))
        ceiling = draw(st.none() | st.floats(guaranteed, 600))
        classes.append(PriorityClass(name, draw(st.integers(0, 3)), guaranteed, ceiling))
    return classes


@st.composite
def cases(draw):
    classes = draw(class_lists())
    size = len(classes)
    demands = draw(st.lists(demand, min_size=size, max_size=size))
    return draw(st.floats(0, 1000)), classes, demands


@pytest.mark.parametrize(
    ("limit", "demands", "qps", "spare", "reasons"),
    [
        pytest.param(
            400, (10, 80, 120), (10, 80, 120), 190, (DEMAND,) * 3, id="all fit, the rest is spare"
        ),
        pytest.param(
            400, (90, 80, 120), (40, 80, 120), 160, (CEILING, DEMAND, DEMAND), id="stress is capped"
        ),
        pytest.param(
            230, (90, 80, 120), (30, 80, 120), 0, (LIMIT, DEMAND, DEMAND), id="stress loses first"
        ),
        pytest.param(
            190, (90, 80, 120), (0, 70, 120), 0, (LIMIT, LIMIT, DEMAND), id="leftover by priority"
        ),
        pytest.param(
            160, (90, 80, 900), (0, 50, 110), 0, (LIMIT,) * 3, id="a guarantee is kept from all"
        ),
        pytest.param(
            400, (0, 0, 0), (0, 50, 100), 250, (DEMAND,) * 3, id="a guarantee is kept while idle"
        ),
        pytest.param(
            120, (90, 80, 120), (0, 20, 100), 0, (LIMIT, SHRUNK, LIMIT), id="guarantees shrink last"
        ),
        pytest.param(
            60, (90, 80, 120), (0, 0, 60), 0, (LIMIT, SHRUNK, SHRUNK), id="the first shrinks last"
        ),
        pytest.param(
            400,
            (math.nan, 80, math.nan),
            (0, 80, 100),
            220,
            (UNKNOWN, DEMAND, UNKNOWN),
            id="unknown demand has its guarantee",
        ),
    ],
)
def test_the_limit_is_divided_by_priority(limit, demands, qps, spare, reasons):
    division = split(limit, MENU, demands)
    assert tuple(part.qps for part in division.classes) == qps
    assert division.spare_qps == spare
    assert tuple(part.reason for part in division.classes) == reasons


def test_equal_priorities_share_fairly():
    division = split(120, (PriorityClass("web", 1), BOT), (1000, 50))
    assert [part.qps for part in division.classes] == [70, 50]


def test_a_class_may_grow_to_its_ceiling_or_the_limit():
    division = split(400, MENU, (10, 80, 120))
    assert [part.ceiling_qps for part in division.classes] == [40, 400, 400]


def test_classes_that_grow_together_do_not_exceed_the_limit():
    division = split(400, MENU, (10, 80, 120))
    assert admitted(division, (900, 900, 900)) == (10, 80, 310)  # the first takes all 190


@given(cases())
def test_own_parts_and_spare_sum_up_to_the_limit(case):
    limit, classes, demands = case
    division = split(limit, classes, demands)
    total = sum(part.qps for part in division.classes) + division.spare_qps
    assert total == pytest.approx(limit, abs=1e-6)


@given(cases(), st.lists(st.floats(0, 2000), min_size=5, max_size=5))
def test_whatever_is_offered_no_more_than_the_limit_passes(case, offered):
    limit, classes, demands = case
    division = split(limit, classes, demands)
    passing = admitted(division, offered[: len(classes)])
    assert sum(passing) <= limit + 1e-6
    for c, part, qps, passes in zip(classes, division.classes, offered, passing, strict=False):
        assert min(qps, part.qps) - 1e-9 <= passes <= min(qps, c.max_qps) + 1e-9


@given(cases())
def test_no_class_is_cut_for_one_of_lower_priority(case):
    """A class gets less than it asks only where later ones have no more than their guarantees."""
    limit, classes, demands = case
    parts = split(limit, classes, demands).classes
    for c, part in zip(classes, parts, strict=True):
        later = [p for p in parts if p.priority > part.priority]
        if part.reason in (LIMIT, SHRUNK):
            assert all(p.qps <= p.guaranteed_qps + 1e-6 for p in later)
        if part.guaranteed_qps < c.guaranteed_qps - 1e-6:
            assert all(p.guaranteed_qps <= 1e-6 for p in later)


@given(cases(), st.floats(0, 500))
def test_a_higher_limit_lowers_no_class(case, more):
    limit, classes, demands = case
    before = split(limit, classes, demands).classes
    after = split(limit + more, classes, demands).classes
    assert all(b.qps >= a.qps - 1e-6 for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        pytest.param(lambda: PriorityClass("a", -1), "priority is -1", id="before the first"),
        pytest.param(lambda: PriorityClass("a", 0, -5), "guaranteed_qps is -5", id="negative"),
        pytest.param(lambda: PriorityClass("a", 0, 5, 4), "above its ceiling_qps of 4", id="above"),
        pytest.param(lambda: PriorityClass("a", 0, 0, math.nan), "ceiling_qps of nan", id="NaN"),
        pytest.param(lambda: split(math.nan, [PAY], [1]), "limit is nan", id="unknown limit"),
        pytest.param(lambda: split(1, [PAY, PAY], [1, 1]), "must be unique", id="named twice"),
        pytest.param(lambda: split(1, [PAY], []), "0 demands for 1 classes", id="too few demands"),
        pytest.param(lambda: split(1, [PAY], [-1]), "or NaN", id="negative demand"),
    ],
)
def test_impossible_classes_are_refused(broken, rule):
    with pytest.raises(ValueError, match=rule):
        broken()

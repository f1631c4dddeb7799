"""From asking for a replica until it is warm: what is learned, what is added, what bounds it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.lead_time import (
    DEFAULT_START_UP_S,
    HPA_SYNC_S,
    MAX_LEAD_S,
    LeadTimeReason,
    lead_time,
)

ADDED_S = HPA_SYNC_S + 15.0  # the autoscaler's sync, and our tick


@pytest.mark.parametrize(
    ("start_ups", "expected", "reason"),
    [
        pytest.param([], 90.0, LeadTimeReason.DEFAULT, id="none observed: the default"),
        pytest.param(
            [30.0] * 18, 90.0, LeadTimeReason.DEFAULT,
            id="18 cannot tell 0.95: ceil(19 x 0.95) = 19",
        ),
        pytest.param(
            [30.0] * 18 + [300.0], 300.0, LeadTimeReason.LEARNED, id="19 can, by their longest"
        ),
        pytest.param(
            [300.0, 30.0], 300.0, LeadTimeReason.DEFAULT, id="few, but one longer than the default"
        ),
        pytest.param(  # ceil(101 x 0.95) = 96: the 96th smallest of 1 ... 100
            [float(s) for s in range(100, 0, -1)], 96.0, LeadTimeReason.LEARNED,
            id="many: a quantile, in any order",
        ),
        pytest.param(  # 6 of 100 pull the image first: more than one in twenty is slow
            [20.0] * 94 + [200.0] * 6, 200.0, LeadTimeReason.LEARNED, id="two modes: the slow one"
        ),
        pytest.param(
            [20.0] * 96 + [200.0] * 4, 20.0, LeadTimeReason.LEARNED, id="a slow mode that is rare"
        ),
    ],
)  # fmt: skip
def test_the_lead_time_is_the_start_up_that_most_pods_stay_within_and_what_comes_around_it(
    start_ups, expected, reason
):
    found = lead_time(start_ups)
    assert (found.seconds, found.start_up_s, found.reason) == (
        expected + ADDED_S, expected, reason,
    )  # fmt: skip


def test_tick_and_warm_up_are_part_of_it():
    assert lead_time([], tick_s=30.0, warm_up_s=60.0).seconds == 90.0 + 15.0 + 30.0 + 60.0


def test_what_the_policy_says_is_all_of_it():
    found = lead_time([500.0] * 50, given_s=100.0, warm_up_s=60.0)
    assert (found.seconds, found.reason) == (100.0, LeadTimeReason.GIVEN)


def test_a_pod_that_took_days_does_not_make_decisions_look_days_ahead():
    found = lead_time([30.0] * 18 + [3 * 86_400.0])
    assert (found.seconds, found.reason) == (MAX_LEAD_S, LeadTimeReason.BOUNDED)


@given(st.lists(st.floats(1, 600), max_size=60), st.floats(1, 600))
def test_a_longer_start_up_never_shortens_the_lead_time(start_ups, longer):
    known = lead_time(start_ups).start_up_s
    more = lead_time([*start_ups, max([longer, *start_ups])]).start_up_s
    assert more >= min(known, DEFAULT_START_UP_S)

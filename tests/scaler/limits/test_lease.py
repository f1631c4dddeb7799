"""An ageing lease gives exactly the documented stage."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits.lease import (
    AfterSafe,
    HeldLease,
    Lease,
    LeaseStage,
    lease_for_share,
    limit_at,
    received,
    stage_at,
)
from scaler.limits.schedule import LimitStep

LEASE = Lease(
    version=812,
    qps=1240,
    valid_for_s=10,
    schedule=(LimitStep(60, 1380), LimitStep(300, 1500)),
    safe_qps=310,
    max_stale_s=120,
    then=AfterSafe.OPEN,
    epoch="c0ff",
)
CLOSING = replace(LEASE, then=AfterSafe.CLOSED)
BARE = replace(LEASE, schedule=())
# A scheduled decrease, and an increase, before the lease expires.
FALLING = replace(LEASE, schedule=(LimitStep(5, 900),))
RISING = replace(LEASE, schedule=(LimitStep(5, 1300),))
JUST_BEFORE = 1 - 1e-9


@pytest.mark.parametrize(
    ("lease", "age_s", "stage", "qps"),
    [
        pytest.param(LEASE, 0, LeaseStage.FRESH, 1240, id="fresh when it is received"),
        pytest.param(LEASE, 10 * JUST_BEFORE, LeaseStage.FRESH, 1240, id="fresh till it expires"),
        pytest.param(LEASE, 10, LeaseStage.SCHEDULE, 1240, id="expiry is half-open"),
        pytest.param(LEASE, 60 * JUST_BEFORE, LeaseStage.SCHEDULE, 1240, id="no step is due yet"),
        pytest.param(LEASE, 60, LeaseStage.SCHEDULE, 1380, id="a step begins at its second"),
        pytest.param(
            LEASE, 300 * JUST_BEFORE, LeaseStage.SCHEDULE, 1380, id="and lasts till the next"
        ),
        pytest.param(LEASE, 300, LeaseStage.SCHEDULE, 1500, id="the last step begins"),
        pytest.param(
            LEASE,
            310 * JUST_BEFORE,
            LeaseStage.SCHEDULE,
            1500,
            id="it is valid as long as a fresh limit",
        ),
        pytest.param(LEASE, 310, LeaseStage.SAFE, 310, id="safe after 300 + 10 s"),
        pytest.param(LEASE, 430 * JUST_BEFORE, LeaseStage.SAFE, 310, id="safe for 120 s"),
        pytest.param(LEASE, 430, LeaseStage.OPEN, math.inf, id="then open: no limit"),
        pytest.param(CLOSING, 430, LeaseStage.CLOSED, 0, id="then closed: nothing passes"),
        pytest.param(LEASE, math.inf, LeaseStage.OPEN, math.inf, id="open for ever"),
        pytest.param(BARE, 10, LeaseStage.SAFE, 310, id="without a schedule safe follows fresh"),
        pytest.param(BARE, 130, LeaseStage.OPEN, math.inf, id="without a schedule, 10 + 120 s"),
        pytest.param(
            FALLING, 5, LeaseStage.FRESH, 900, id="a scheduled decrease is followed while fresh"
        ),
        pytest.param(
            RISING, 5, LeaseStage.FRESH, 1240, id="a scheduled increase is not followed while fresh"
        ),
        pytest.param(
            RISING,
            10,
            LeaseStage.SCHEDULE,
            1300,
            id="a scheduled increase applies when the lease is not fresh any more",
        ),
    ],
)
def test_an_ageing_lease_gives_exactly_the_documented_stage(lease, age_s, stage, qps):
    assert (stage_at(lease, age_s), limit_at(lease, age_s)) == (stage, qps)


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_stages_only_go_forward(age_s, more_s):
    order = list(LeaseStage)
    assert order.index(stage_at(LEASE, age_s)) <= order.index(stage_at(LEASE, age_s + more_s))


@pytest.mark.parametrize(
    "offered",
    [
        pytest.param(replace(LEASE, version=813), id="a newer version"),
        pytest.param(LEASE, id="the same version again"),
        pytest.param(replace(LEASE, version=1, epoch="beef"), id="another epoch counts anew"),
    ],
)
def test_a_lease_that_is_not_older_replaces_the_one_held(offered):
    assert received(HeldLease(LEASE, 0.0), offered, 5.0) == HeldLease(offered, 5.0)


def test_a_version_that_goes_back_is_refused():
    with pytest.raises(ValueError, match="version 811 came after version 812"):
        received(HeldLease(LEASE, 0.0), replace(LEASE, version=811), 5.0)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=4))
def test_parts_sum_up_to_the_whole_at_every_age(shares):
    parts = [lease_for_share(LEASE, share, len(shares)) for share in shares]
    for age_s in (0, 60, 300, 310):
        total = sum(limit_at(part, age_s) for part in parts)
        assert total <= limit_at(LEASE, age_s) * (1 + 1e-9)


def test_for_a_limit_of_zero_the_schedule_is_divided_evenly():
    part = lease_for_share(replace(LEASE, qps=0.0), 0.0, instances=4)
    assert (part.schedule[0].qps, part.safe_qps) == (345.0, 77.5)  # 1380 / 4, 310 / 4


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param({"version": -1}, "version is -1", id="negative version"),
        pytest.param({"qps": -1.0}, r"qps is -1\.0", id="negative limit"),
        pytest.param({"qps": math.nan}, "qps is nan", id="unknown limit"),
        pytest.param({"qps": math.inf}, "qps is inf", id="infinite limit"),
        pytest.param({"qps": 1e12}, "qps is 10", id="absurd limit"),
        pytest.param({"safe_qps": math.nan}, "safe_qps is nan", id="unknown safe limit"),
        pytest.param({"valid_for_s": 0.0}, "valid_for_s is 0", id="never fresh"),
        pytest.param({"valid_for_s": math.nan}, "valid_for_s is nan", id="unknown validity"),
        pytest.param({"valid_for_s": 1e9}, "valid_for_s is 1", id="valid for years"),
        pytest.param({"max_stale_s": -1.0}, "max_stale_s is -1", id="negative staleness"),
        pytest.param({"max_stale_s": math.inf}, "max_stale_s is inf", id="stale for ever"),
        pytest.param({"schedule": (LimitStep(0, 5),)}, "must ascend", id="a step that is now"),
        pytest.param(
            {"schedule": (LimitStep(60, 5), LimitStep(60, 6))}, "must ascend", id="two at once"
        ),
        pytest.param({"schedule": (LimitStep(60, math.nan),)}, "at 60 s is nan", id="unknown step"),
        pytest.param({"schedule": (LimitStep(math.nan, 5),)}, "must ascend", id="step at no time"),
    ],
)
def test_a_broken_lease_is_refused(change, rule):
    with pytest.raises(ValueError, match=rule):
        replace(LEASE, **change)


@pytest.mark.parametrize("age_s", [-1.0, math.nan])
def test_an_impossible_age_is_refused(age_s):
    with pytest.raises(ValueError, match="monotonic"):
        stage_at(LEASE, age_s)


@pytest.mark.parametrize(
    ("share_qps", "instances"), [(1241.0, 1), (-1.0, 1), (math.nan, 1), (10.0, 0)]
)
def test_an_impossible_share_is_refused(share_qps, instances):
    with pytest.raises(ValueError, match="share"):
        lease_for_share(LEASE, share_qps, instances)

"""Which policy owns a floor, and which floors nobody claims."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaler.adapters.kube.claims import floor_owners, unclaimed
from scaler.control.cluster_port import PolicyObject
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.floor_ownership import Target
from scaler.policy.policy import Mode, Policy

TARGET = Target("shop", "web")
ENFORCE = Policy(
    item_id="shop/a", target="web", scale=ScalePolicy(), capacity_qps=50.0, mode=Mode.ENFORCE
)
RECOMMEND = replace(ENFORCE, mode=Mode.RECOMMEND)


def kept(name: str, policy: Policy | None = ENFORCE, **values) -> PolicyObject:
    item_id = f"shop/{name}"
    policy = None if policy is None else replace(policy, item_id=item_id)
    given = {"uid": name, "created": 1.0, **values}
    return PolicyObject(item_id=item_id, generation=1, policy=policy, **given)


@pytest.mark.parametrize(
    ("objects", "owner"),
    [
        pytest.param([kept("a", created=2.0), kept("b")], "shop/b", id="the oldest"),
        pytest.param([kept("a", uid="2"), kept("b", uid="1")], "shop/b", id="as old: by UID"),
        pytest.param([kept("a", RECOMMEND), kept("b", created=2.0)], "shop/b", id="who enforces"),
        pytest.param([kept("a", deleting=True), kept("b", created=2.0)], "shop/b", id="who stays"),
        pytest.param([kept("a", RECOMMEND)], None, id="nobody asks for it"),
    ],
)
def test_one_policy_owns_a_floor(objects, owner):
    stored = {one.item_id: one for one in objects}
    found = floor_owners([one.policy for one in objects], stored)
    assert found.get(TARGET) == owner


def test_a_policy_of_a_file_owns_its_floor():
    assert floor_owners([ENFORCE], {}) == {TARGET: "shop/a"}


@pytest.mark.parametrize(
    ("objects", "acted_on", "expected"),
    [
        pytest.param([], [], [TARGET], id="no policy is left"),
        pytest.param([kept("a", RECOMMEND)], [], [], id="the policy sees to it"),
        pytest.param([kept("a", None)], [], [TARGET], id="one that cannot be read owned none"),
        pytest.param([kept("a", None, guarded=True)], [], [], id="it may own this one"),
        pytest.param(
            [kept("a", None, guarded=True)],
            [replace(ENFORCE, target="other")],
            [TARGET],
            id="it is acted on as it was, and owns another",
        ),
    ],
)
def test_a_floor_is_unclaimed_only_where_that_is_known(objects, acted_on, expected):
    stored = {one.item_id: one for one in objects}
    assert unclaimed([TARGET], acted_on, stored) == expected

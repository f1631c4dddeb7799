"""Who owns a floor, and what may be written to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.hpa.floor_ownership import (
    Autoscaler,
    DesiredFloor,
    FloorWrite,
    Target,
    argo_snippet,
    contested_remedy,
    is_applied,
    keda_remedy,
    restored_floor,
    revert_backoff_s,
    write_for,
)

TARGET = Target("prod", "shop")
# An object with the user's floor of 3, and the same after it was raised to 8.
PLAIN = Autoscaler(target=TARGET, min_replicas=3, max_replicas=20, managers=("kubectl",))
RAISED = replace(PLAIN, min_replicas=8, original_min_replicas=3, managers=("tidegate",))
REVERTED = replace(RAISED, min_replicas=4, managers=("argocd",))


@pytest.mark.parametrize(
    ("seen", "desired", "write"),
    [
        pytest.param(PLAIN, 8, FloorWrite(8, 3, force=True), id="the first write takes the field"),
        pytest.param(PLAIN, 1, FloorWrite(3, 3, force=True), id="never below the user's own"),
        pytest.param(PLAIN, 99, FloorWrite(20, 3, force=True), id="never above the ceiling"),
        pytest.param(
            RAISED, 9, FloorWrite(9, 3, force=False), id="a field that is ours is not forced"
        ),
        pytest.param(RAISED, 0, FloorWrite(3, 3, force=False), id="down to the user's own"),
        pytest.param(
            replace(RAISED, min_replicas=3),
            9,
            FloorWrite(9, 3, force=True),
            id="a manager that shares the user's own floor does not contest it",
        ),
        pytest.param(
            REVERTED,
            9,
            FloorWrite(9, 4, force=True),
            id="a value written since becomes the user's own",
        ),
        pytest.param(
            replace(RAISED, original_min_replicas=None),
            9,
            FloorWrite(9, 2, force=False),
            id="without the annotation it is the policy's minimum, not the raised floor",
        ),
        pytest.param(
            replace(PLAIN, max_replicas=2, min_replicas=2),
            9,
            FloorWrite(2, 2, force=True),
            id="an autoscaler without room",
        ),
    ],
)
def test_a_write_respects_the_users_floor_and_the_ceiling(seen, desired, write):
    assert write_for(DesiredFloor(TARGET, desired, policy_min=2), seen) == write


@given(
    desired=st.integers(0, 500),
    own=st.integers(1, 50),
    room=st.integers(0, 50),
    raised=st.integers(0, 50),
)
def test_a_floor_is_never_outside_the_users_bounds(desired, own, room, raised):
    seen = replace(PLAIN, min_replicas=own, max_replicas=own + room)
    ours = replace(
        RAISED, original_min_replicas=own, min_replicas=own + raised, max_replicas=own + room
    )
    for one in (seen, ours):
        assert own <= write_for(DesiredFloor(TARGET, desired), one).min_replicas <= own + room


@pytest.mark.parametrize(
    ("seen", "held", "manager"),
    [
        pytest.param(PLAIN, False, None, id="never touched"),
        pytest.param(RAISED, True, None, id="ours"),
        pytest.param(RAISED, False, None, id="ours, after a restart"),
        pytest.param(REVERTED, True, "argocd", id="written over"),
        pytest.param(REVERTED, False, "argocd", id="written over, after a restart"),
        pytest.param(PLAIN, True, "kubectl", id="written over, with our annotation gone"),
        pytest.param(
            replace(PLAIN, managers=()),
            True,
            "an unknown manager",
            id="by a manager without a name",
        ),
    ],
)
def test_the_manager_that_reverted_a_floor_is_named(seen, held, manager):
    assert seen.reverted_by(held=held) == manager


@pytest.mark.parametrize(
    ("seen", "done"),
    [
        pytest.param(RAISED, True, id="the floor and the annotation are ours"),
        pytest.param(replace(RAISED, min_replicas=7), False, id="another floor"),
        pytest.param(replace(RAISED, original_min_replicas=2), False, id="another original"),
        pytest.param(replace(RAISED, managers=("x",)), False, id="owned by another manager"),
        pytest.param(replace(PLAIN, min_replicas=8), True, id="a user's floor as high as that"),
    ],
)
def test_nothing_is_written_when_the_floor_is_applied_already(seen, done):
    assert is_applied(FloorWrite(8, 3, force=False), seen) is done


@pytest.mark.parametrize(
    ("seen", "policy_min", "floor"),
    [
        pytest.param(RAISED, 2, 3, id="the user's own"),
        pytest.param(REVERTED, 2, 4, id="the value written since"),
        pytest.param(
            replace(RAISED, original_min_replicas=None),
            2,
            2,
            id="the policy's minimum if it is lost",
        ),
        pytest.param(
            replace(RAISED, original_min_replicas=None), None, 8, id="as it is, if nothing is known"
        ),
        pytest.param(replace(RAISED, max_replicas=2), None, 2, id="within a lowered ceiling"),
    ],
)
def test_the_users_floor_is_restored(seen, policy_min, floor):
    assert restored_floor(seen, policy_min) == floor


def test_the_backoff_doubles_with_every_revert_up_to_half_a_day():
    waits = [revert_backoff_s(reverts) for reverts in range(1, 40)]

    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (300.0, 43_200.0)


def test_remedies_name_the_object_and_what_to_do():
    assert "prod/shop" in keda_remedy(replace(PLAIN, scaled_object="so"))
    assert "external" in keda_remedy(replace(PLAIN, scaled_object="so"))
    assert argo_snippet(TARGET) in contested_remedy(TARGET, "argocd-controller")
    assert "/spec/minReplicas" in argo_snippet(TARGET)


@pytest.mark.parametrize("parts", [("", "a"), ("a", ""), ("a/b", "c")])
def test_a_target_is_a_namespace_and_a_name(parts):
    with pytest.raises(ValueError, match="must be a namespace and a name"):
        Target(*parts)


def test_a_negative_desired_floor_is_refused():
    with pytest.raises(ValueError, match="at least 0 and 1"):
        DesiredFloor(TARGET, -1)

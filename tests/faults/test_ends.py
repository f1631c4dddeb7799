"""A leader that ends, in a hurry or in peace: another takes over, and no floor is lost or flaps.

Both scalers are processes of their own, which are killed and stopped as a kernel and a kubelet do.
"""

from __future__ import annotations

import json

import pytest

from scaler.adapters.kube.leader_label import LABEL
from tests.faults.scene import OWN_FLOOR, PODS
from tests.forecaster.adapters.prometheus.server import Reply, failure
from tests.kube.faults import Fault, Harm
from tests.waiting import PATIENCE_S, eventually

RUSH = 900.0  # 23 replicas of 50 x 0.8
# Who does not answer here does not until the test is over; a kubelet waits for 30 s. What is
# promised is 10 s; the rest is for cores that others use.
STOP_S = 30.0


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(Harm.HOLD, id="before the API server has done it", marks=pytest.mark.nightly),
        pytest.param(Harm.LOSE, id="after the API server has done it"),
    ],
)
def test_a_leader_killed_in_the_middle_of_a_write_is_followed(scene, harm):
    lease = ("--lease-duration", "4s")
    scene.add("shop", lambda _: RUSH)
    with scene.scaler("one", *lease) as one:
        eventually(lambda: scene.holder() == "one")
        with scene.scaler("two", *lease) as two:
            eventually(lambda: two.ask("/readyz")[0] == 200)
            scene.server.faults.add(Fault("PATCH .*horizontalpodautoscalers/shop", harm))
            patches = scene.server.count("PATCH /apis/autoscaling")
            scene.ask_for("shop")
            eventually(lambda: scene.server.count("PATCH /apis/autoscaling") > patches)
            one.process.kill()
            scene.server.faults.released.set()
            eventually(lambda: scene.holder() == "two")
            eventually(lambda: scene.floor("shop") == (23, str(OWN_FLOOR)))
            eventually(lambda: scene.conditions("shop").get("Ready") == ("True", "Enforcing"))
            assert scene.floors_written("shop") == [OWN_FLOOR, 23]
            scene.edit("shop", mode="Recommend")
            eventually(lambda: scene.floor("shop") == (OWN_FLOOR, None))


def test_a_leader_that_is_stopped_hands_over_at_once_and_the_floor_stays(scene):
    scene.add("shop", lambda _: RUSH)
    scene.ask_for("shop")
    with scene.scaler("one") as one:
        eventually(lambda: scene.floor("shop") == (23, str(OWN_FLOOR)))
        with scene.scaler("two") as two:
            eventually(lambda: two.ask("/readyz")[0] == 200)
            stopped = one.stop()
            assert (stopped.code, stopped.seconds < STOP_S) == (0, True)
            assert scene.holder() in ("", "two")  # it is given up, so nobody waits for its end
            eventually(lambda: scene.holder() == "two")
            asked = len(scene.prometheus.asked)
            eventually(lambda: len(scene.prometheus.asked) >= asked + 2)  # ticks of the new leader
            assert scene.floors_written("shop") == [OWN_FLOOR, 23]


@pytest.mark.parametrize(
    "hung", [pytest.param("Prometheus", marks=pytest.mark.nightly), "the API server"]
)
def test_a_stop_in_the_middle_of_a_tick_ends_in_time(scene, hung):
    """The tick waits for somebody who does not answer; what has been begun comes to its end."""
    names = [f"shop-{number}" for number in range(40)]
    for name in names:
        scene.add(name, lambda _: RUSH)
        scene.ask_for(name)
    patch = "PATCH .*horizontalpodautoscalers"
    if hung == "the API server":
        scene.server.faults.add(Fault(patch, Harm.HOLD, times=999))
    with scene.scaler("one") as one:
        if hung == "Prometheus":
            eventually(lambda: scene.floor(names[-1])[0] == 23)
            asked = len(scene.prometheus.asked)
            scene.prometheus.mood = lambda _: Reply(hold=True)
            eventually(lambda: len(scene.prometheus.asked) > asked)
        else:
            eventually(lambda: scene.server.count("PATCH /apis/autoscaling") > 0)
        stopped = one.stop()
        assert (stopped.code, stopped.seconds < STOP_S) == (0, True), one.lines[-5:]
        assert scene.holder() == ""
        assert {scene.floor(name)[0] for name in names} <= {OWN_FLOOR, 23}


def test_a_stop_before_the_first_tick_ends_as_well(scene):
    scene.add("shop", lambda _: RUSH)
    scene.ask_for("shop")
    scene.prometheus.mood = lambda _: Reply(hold=True)
    with scene.scaler("one") as one:
        stopped = one.stop()
        assert (stopped.code, stopped.seconds < STOP_S) == (0, True)


def limits(running) -> str:
    """Return what /readyz says of limits, or why the scaler is not ready."""
    body = json.loads(running.ask("/readyz")[1])
    return body.get("limits") or body["detail"]


@pytest.mark.nightly
def test_while_the_api_server_is_away_the_leader_goes_on_handing_out_limits(scene):
    """Past the deadline of its Lease, and then it leads again; its pod stays in the Service."""
    lease = ("--lease-duration", "12s")
    scene.add("shop", lambda _: RUSH)
    scene.ask_for("shop")
    with scene.scaler("one", *lease) as one, scene.scaler("two", *lease) as two:
        eventually(lambda: (limits(one), limits(two)) == (LEADS, FOLLOWS), PATIENCE_S)
        eventually(lambda: one.lease("shop"))
        eventually(lambda: labelled(scene, "one")[-1])
        before = len(labelled(scene, "one"))
        scene.server.faults.partition = True
        eventually(lambda: limits(one) == CARETAKES and one.lease("shop"))
        assert two.lease("shop") is None
        scene.server.faults.end()
        eventually(lambda: LEADS in (limits(one), limits(two)))
        if limits(one) == LEADS:  # a busy machine may have let the other be faster
            assert all(labelled(scene, "one")[before - 1 :])
            assert one.lease("shop") is not None


LEADS = "handed out"
CARETAKES = "handed out, but not raised: no leader is known"
FOLLOWS = "handed out by the leader, not here"


def labelled(scene, name: str) -> list[bool]:
    """Return whether a pod carried the label, at each change of it."""
    with scene.server.store.locked():
        return [
            LABEL in change.found["metadata"].get("labels", {})
            for change in scene.server.store.history
            if change.kind.plural == "pods" and change.found["metadata"]["name"] == name
        ]


def test_a_scaler_that_starts_while_the_query_fails_hands_out_no_limit_until_it_is_answered(scene):
    scene.add("shop", lambda _: RUSH)
    scene.ask_for("shop")
    scene.prometheus.mood = lambda _: failure(422, "execution", "too many samples")
    with scene.scaler("one") as one:
        eventually(lambda: scene.conditions("shop").get("LimitKnown") is not None)
        assert scene.conditions("shop")["LimitKnown"] == ("False", "NothingObserved")
        status, body = one.ask("/v1/limits/prod/shop?instance=gw-1")
        assert (status, "observed once" in body) == (503, True)
        scene.prometheus.mood = lambda _: None
        eventually(lambda: one.lease("shop") is not None)
        assert one.lease("shop")["global"]["rps"] == PODS * 50.0
        eventually(lambda: "LimitKnown" not in scene.conditions("shop"))


def test_who_stops_hands_over_before_it_waits_for_what_hangs(scene):
    """A query may take a minute, for which its thread is waited for: the kernel comes first."""
    scene.add("shop", lambda _: RUSH)
    scene.add("calm", lambda _: RUSH)
    scene.ask_for("shop")
    scene.ask_for("calm")
    with scene.scaler("one", "--timeout", "60s") as one:
        eventually(lambda: scene.floor("shop") == (23, str(OWN_FLOOR)))
        scene.prometheus.mood = lambda query: Reply(hold=True) if "shop" in query else None
        eventually(lambda: asked_beside(scene))
        one.stop()
        assert scene.holder() == ""


def asked_beside(scene) -> bool:
    """Whether the query that hangs is asked beside the ticks."""
    told = scene.policy("shop").get("status", {}).get("conditions") or ()
    return any("asked beside the others" in one["message"] for one in told)

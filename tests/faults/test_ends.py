"""A leader that ends, in a hurry or in peace: another takes over, and no floor is lost or flaps.

Both scalers are processes of their own, which are killed and stopped as a kernel and a kubelet do.
"""

from __future__ import annotations

import time

import pytest

from tests.faults.scene import OWN_FLOOR
from tests.forecaster.adapters.prometheus.server import Reply
from tests.kube.faults import Fault, Harm
from tests.waiting import eventually

RUSH = 900.0  # 23 replicas of 50 x 0.8
LEASE = ("--lease-duration", "4s")
LEASE_S = 4.0
STOP_S = 10.0  # what a kubelet is promised; its own patience is 30 s


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(Harm.HOLD, id="before the API server has done it"),
        pytest.param(Harm.LOSE, id="after the API server has done it"),
    ],
)
def test_a_leader_killed_in_the_middle_of_a_write_is_followed_within_the_lease(scene, harm):
    scene.add("shop", lambda _: RUSH)
    with scene.scaler("one", *LEASE) as one:
        eventually(lambda: scene.holder() == "one")
        with scene.scaler("two", *LEASE) as two:
            eventually(lambda: two.ask("/readyz")[0] == 200, within_s=60)
            scene.server.faults.add(Fault("PATCH .*horizontalpodautoscalers/shop", harm))
            patches = scene.server.count("PATCH /apis/autoscaling")
            scene.ask_for("shop")
            eventually(lambda: scene.server.count("PATCH /apis/autoscaling") > patches)
            one.process.kill()
            killed = time.monotonic()
            scene.server.faults.released.set()
            eventually(lambda: scene.holder() == "two")
            # It looks twice a second; the rest is for cores that others use.
            assert time.monotonic() - killed < LEASE_S + 10.0
            eventually(lambda: scene.floor("shop") == (23, str(OWN_FLOOR)))
            eventually(lambda: scene.conditions("shop").get("Ready") == ("True", "Enforcing"))
            assert scene.floors_written("shop") == [OWN_FLOOR, 23]
            scene.edit("shop", mode="Recommend")
            eventually(lambda: scene.floor("shop") == (OWN_FLOOR, None))


def test_a_leader_that_is_stopped_hands_over_at_once_and_the_floor_stays(scene):
    scene.add("shop", lambda _: RUSH)
    scene.ask_for("shop")
    with scene.scaler("one") as one:  # a Lease of 15 s, which nobody waits for
        eventually(lambda: scene.floor("shop") == (23, str(OWN_FLOOR)))
        with scene.scaler("two") as two:
            eventually(lambda: two.ask("/readyz")[0] == 200, within_s=60)
            stopped = one.stop()
            handed_over = time.monotonic()
            assert (stopped.code, stopped.seconds < STOP_S) == (0, True)
            eventually(lambda: scene.holder() == "two")
            assert time.monotonic() - handed_over < 13.0
            time.sleep(2.5)  # two ticks of the new leader
            assert scene.floors_written("shop") == [OWN_FLOOR, 23]


@pytest.mark.parametrize("hung", ["Prometheus", "the API server"])
def test_a_stop_in_the_middle_of_a_tick_ends_within_ten_seconds(scene, hung):
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

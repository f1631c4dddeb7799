"""What an operator is promised: `scaler run` beside a cluster and a Prometheus, from outside.

One scaler runs as a process, elects itself and watches all services of this file; every test is the
story of one of them. Nothing is looked at but what users see: the autoscaler, the policy's status,
Events, and what a gateway is told.
"""

from __future__ import annotations

import json
import time

import pytest

from scaler.cli import main
from tests.faults.scene import OWN_FLOOR, standing
from tests.waiting import eventually

DAY_S = 86_400
QUIET, RUSH = 100.0, 900.0  # requests per second; a replica is to take 50 x 0.8 of them
OF_KEDA = {
    "ownerReferences": [
        {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "orders", "uid": "1"}
    ]
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with standing(tmp_path_factory.mktemp("cluster")) as made:
        rush_at = time.time() + 180  # noqa: TID251 - a process with a clock of its own runs here

        def daily(stamp):
            return RUSH if (stamp - rush_at) % DAY_S < 3600 else QUIET

        made.add("shop", daily)
        made.add("watched", daily)
        for name in ("busy", "argo", "former", "moody"):
            made.add(name, lambda _: RUSH)
        made.add("orders", lambda _: RUSH, **OF_KEDA)
        for name in ("shop", "busy", "argo", "former", "moody", "orders"):
            made.ask_for(name)
        made.ask_for("watched", mode="Recommend")
        yield made


@pytest.fixture(scope="module")
def scaler(scene):
    with scene.scaler() as running:
        eventually(lambda: running.ask("/readyz")[0] == 200)
        yield running


def test_the_floor_is_up_before_the_daily_rush_begins(scene, scaler):
    # 900 / 40 = 22.5 are needed in three minutes, 100 / 40 = 2.5 now; a forecast may be shy.
    eventually(lambda: scene.floor("shop")[0] >= 12)
    assert scene.floor("shop")[1] == str(OWN_FLOOR)
    assert scene.owners("shop") == {"tidegate"}
    plan = json.loads(scaler.ask("/v1/plans/prod/shop")[1])
    assert plan["observed_qps"] == QUIET
    assert plan["why"]["demand"] == "forecast"


def test_what_arrives_unforeseen_raises_the_floor_as_well(scene, scaler):
    eventually(lambda: scene.floor("busy")[0] >= 23)
    eventually(lambda: "FloorMoved" in dict(scene.events("busy")))
    assert "requests per second" in dict(scene.events("busy"))["FloorMoved"]


def test_the_status_says_what_was_decided_and_that_all_is_well(scene, scaler):
    eventually(lambda: scene.conditions("busy").get("Ready") == ("True", "Enforcing"))
    status = scene.policy("busy")["status"]
    assert scene.conditions("busy")["DataFresh"] == ("True", "Observed")
    assert status["floor"] >= 23
    assert status["limitQps"] == pytest.approx(150.0)  # 3 ready replicas of 50


def test_why_tells_from_the_status_what_the_endpoint_tells(scene, scaler, capsys):
    eventually(lambda: "limit" in (scene.policy("busy")["status"].get("reasons") or {}))
    assert main(["why", "prod/busy", "--kubeconfig", str(scene.kubeconfig)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "requests per second: the " in told  # observed now, or forecast
    assert "replicas: it is the plan." in told
    assert "admit 150 requests per second: the ready replicas sustain that much." in told


def test_a_gateway_is_told_what_the_ready_replicas_take(scene, scaler):
    eventually(lambda: scaler.lease("busy") is not None)  # it learns first
    lease = scaler.lease("busy")
    assert lease["mode"] == "enforce"
    assert lease["global"]["rps"] == pytest.approx(150.0)
    assert lease["why"]["ready_replicas"] == 3
    assert scaler.ask("/v1/limits/prod/bus?instance=gw-1")[0] == 404


def test_in_recommend_everything_is_told_and_nothing_is_written(scene, scaler):
    eventually(lambda: scene.conditions("watched").get("Ready") == ("True", "Recommending"))
    status = scene.policy("watched")["status"]
    assert (status["floor"], status["plan"] >= 12) == (OWN_FLOOR, True)
    assert scene.floor("watched") == (OWN_FLOOR, None)
    assert scene.owners("watched") == set()
    assert not scene.guarded("watched")


def test_back_in_recommend_the_users_own_floor_stands_again(scene, scaler):
    eventually(lambda: scene.floor("moody")[0] >= 23)
    scene.edit("moody", mode="Recommend")
    eventually(lambda: scene.floor("moody") == (OWN_FLOOR, None))
    eventually(lambda: scene.owners("moody") == set())


def test_a_policy_that_is_deleted_gives_the_floor_back_and_then_goes(scene, scaler):
    eventually(lambda: scene.floor("former")[0] >= 23)
    assert scene.guarded("former")
    scene.delete("former")
    eventually(lambda: scene.floor("former") == (OWN_FLOOR, None))
    eventually(lambda: "prod/former" not in scaler.ask("/v1/services")[1])
    with pytest.raises(Exception, match="404"):
        scene.policy("former")


def test_an_autoscaler_of_keda_is_left_alone_and_the_remedy_is_told(scene, scaler):
    eventually(lambda: scene.conditions("orders").get("Ready") == ("False", "OwnedByKEDA"))
    assert scene.floor("orders") == (OWN_FLOOR, None)
    assert "trigger of type external" in dict(scene.events("orders"))["OwnedByKEDA"]


def test_who_writes_over_the_floor_is_noticed_and_has_the_last_word(scene, scaler):
    eventually(lambda: scene.floor("argo")[0] >= 23)
    path = f"{scene.ground.listing('horizontalpodautoscalers')}/argo"
    scene.ground.edit(path, {"spec": {"minReplicas": 4}}, "argocd-controller")
    eventually(lambda: scene.conditions("argo").get("FloorContested") == ("True", "Reverted"))
    assert scene.floor("argo")[0] == 4
    assert "argocd-controller" in dict(scene.events("argo"))["FloorContested"]


def test_nothing_went_wrong_that_was_not_told_to(scene, scaler):
    assert [line for line in scaler.complaints() if "ERROR" in line] == []


@pytest.mark.nightly
def test_a_policy_with_an_objective_is_given_the_settings_that_its_past_proves(
    scene, scaler, capsys
):
    """Of the service of a rush, which nobody reviews, nothing changes by that."""
    midnight = time.time() // DAY_S * DAY_S  # noqa: TID251 - as said
    scene.add("choosy", lambda stamp: RUSH if stamp > midnight - 5 * DAY_S else None)
    scene.ask_for("choosy", objective={"violations": "0.1%"})

    def settings():
        return scene.policy("choosy")["status"].get("settings", {})

    eventually(lambda: settings()["reason"] == "too_little_past")
    eventually(lambda: settings()["reason"] in ("cheapest", "stepped"), 1800.0)
    found = settings()
    assert found["targetUtilization"] > 0.8
    assert found["violations"] <= found["allowed"] <= 0.0005
    eventually(lambda: scene.floor("choosy")[0] < 23)
    assert "settings" not in scene.policy("busy")["status"]
    assert main(["why", "prod/choosy", "--kubeconfig", str(scene.kubeconfig)]) == 0
    assert "Next review" in " ".join(capsys.readouterr().out.split())

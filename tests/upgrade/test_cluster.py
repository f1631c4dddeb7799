"""What `scaler run` of 0.1.0 left in a cluster: floors go back, and a new leader goes on."""

from __future__ import annotations

import copy
import json

import pytest

from scaler.adapters.kube.leader_election import Election, ElectionSettings
from scaler.adapters.kube.pruned_keys import LAST_APPLIED
from scaler.cli import main
from scaler.control.checkpoint import from_plain, to_plain
from scaler.errors import ClusterAbsentError
from tests.faults.scene import OWN_FLOOR
from tests.faults.scene import POLICIES as PATH
from tests.kube.conftest import connect
from tests.upgrade.old_cluster import RUSH, objects, standing
from tests.upgrade.shapes import uncovered
from tests.upgrade.v0_1_0 import read
from tests.waiting import eventually

PEACE = {"watched": OWN_FLOOR, "learned": OWN_FLOOR}
POLICIES = {one["metadata"]["name"]: one for one in objects("DemandPolicy")}
(LEASE,) = objects("Lease")


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory):
    """A new scaler that took the Lease which an old leader handed over, and decided since."""
    with (
        standing(tmp_path_factory.mktemp("cluster"), handed_over=True) as scene,
        scene.scaler("two") as scaler,
    ):
        eventually(lambda: scene.holder() == "two", 60)
        # The old status is of another demand: a new one says that the new leader has decided.
        eventually(lambda: moved(scene, "shop") and moved(scene, "learned"), 60)
        yield scene, scaler


def moved(scene, name: str) -> bool:
    return scene.policy(name)["status"] != POLICIES[name]["status"]


def test_every_floor_that_was_raised_is_put_back_by_restore(tmp_path, capsys):
    with standing(tmp_path, handed_over=True) as scene:
        before = {name: scene.floor(name)[0] for name in POLICIES}
        assert before == {"shop": 28, "every-key": 11, "contested": 4, **PEACE}
        assert main(["restore", "--kubeconfig", str(tmp_path / "admin.kubeconfig")]) == 0
        after = {name: scene.floor(name) for name in POLICIES}
        owners = {name: scene.owners(name) for name in POLICIES}
    assert after == {
        **dict.fromkeys(("shop", "every-key", *PEACE), (OWN_FLOOR, None)),
        "contested": (4, None),  # somebody else's word is the last
    }
    assert set().union(*owners.values()) == set()
    assert "prod/shop: minReplicas 28 -> 3" in capsys.readouterr().out


def test_a_new_leader_moves_a_floor_and_keeps_the_users_own_beside_it(taken_over):
    scene, _ = taken_over
    eventually(lambda: scene.floor("shop")[0] >= 35)  # 1400 / (50 x 0.8), and what trust adds
    assert scene.floor("shop")[1] == str(OWN_FLOOR)
    assert scene.owners("shop") == {"tidegate"}
    assert scene.guarded("shop")


def test_a_new_leader_leaves_a_contested_floor_to_who_wrote_it(taken_over):
    scene, _ = taken_over
    eventually(lambda: scene.conditions("contested").get("FloorContested") == ("True", "Reverted"))
    assert scene.floor("contested") == (4, str(OWN_FLOOR))


def test_a_new_leader_goes_on_with_the_capacity_that_was_learned(taken_over):
    """Prometheus says nothing of the past, so it can be known by the status alone."""
    scene, scaler = taken_over
    learned = POLICIES["learned"]["status"]["published"]["capacity"]
    assert learned["reason"] == "learned"
    eventually(lambda: scaler.ask("/v1/plans/prod/learned")[0] == 200)
    plan = json.loads(scaler.ask("/v1/plans/prod/learned")[1])
    assert plan["why"]["capacity_qps"] == pytest.approx(learned["qps"], rel=1e-3)
    eventually(lambda: scene.floor("learned")[0] >= RUSH / learned["qps"])


def test_a_new_leader_goes_on_with_the_trust_that_was_earned(taken_over):
    _, scaler = taken_over
    trust = json.loads(scaler.ask("/v1/forecasts/prod/shop")[1])["trust"]
    before = POLICIES["shop"]["status"]["published"]["trust"]
    fresh = POLICIES["watched"]["status"]["published"]["trust"]
    assert before["level"] != fresh["level"]
    # It may have been judged once or twice since; from the start it would be 0.95 and 0.
    assert trust["level"] == pytest.approx(before["level"], abs=0.02)
    assert trust["margin_qps"] > 0


def test_every_policy_of_the_old_form_is_understood(taken_over):
    scene, scaler = taken_over
    services = json.loads(scaler.ask("/v1/services")[1])["services"]
    assert {one["service"] for one in services} == {f"prod/{name}" for name in POLICIES}
    told = {name: scene.conditions(name) for name in POLICIES}
    assert not any("SpecComplete" in one for one in told.values())
    assert not any(reason == "PolicyInvalid" for one in told.values() for _, reason in one.values())


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_status_of_today_is_readable_as_one_of_before(taken_over, name):
    """So an old leader takes over from a new one, and old readers of the status go on."""
    scene, _ = taken_over
    eventually(lambda: moved(scene, name))
    old, new = POLICIES[name]["status"], scene.policy(name)["status"]
    assert uncovered(old["conditions"][0], new["conditions"][0]) == []
    assert uncovered(old, new) == []


def test_the_label_of_the_leader_moves_to_the_new_one(taken_over):
    scene, _ = taken_over

    def labelled():
        path = "/api/v1/namespaces/tidegate/pods"
        pods = [one["metadata"] for one in scene.ground.admin.get(path)["items"]]
        return [one["name"] for one in pods if one["labels"].get("tidegate.dev/leads") == "true"]

    eventually(lambda: labelled() == ["two"])


def test_the_lease_of_a_new_leader_is_one_that_an_old_follower_reads(taken_over):
    scene, _ = taken_over
    path = "/apis/coordination.k8s.io/v1/namespaces/tidegate/leases/tidegate"
    new, old = scene.ground.admin.get(path)["spec"], LEASE["spec"]
    assert new.keys() >= old.keys()
    assert uncovered(old, new) == []
    assert (new["holderIdentity"], new["leaseDurationSeconds"]) == ("two", 15)
    assert new["leaseTransitions"] == old["leaseTransitions"] + 1
    assert [len(new[name]) for name in ("acquireTime", "renewTime")] == [27, 27]  # microseconds


def test_a_key_that_the_old_crd_does_not_know_is_told_with_the_remedy(taken_over):
    """The CRD is to be applied first; where it was not, the author of the policy hears of it."""
    scene, scaler = taken_over
    made = copy.deepcopy(POLICIES["watched"])
    spec = {**made["spec"], "limit": {"headroom": 0.9, "ofTomorrow": True}}
    text = json.dumps({**made, "spec": spec})
    metadata = {"name": "late", "namespace": "prod", "annotations": {LAST_APPLIED: text}}
    scene.ground.put(PATH, {**made, "metadata": metadata, "spec": spec})
    assert "ofTomorrow" not in scene.policy("late")["spec"]["limit"]
    eventually(lambda: scene.conditions("late").get("SpecComplete") == ("False", "KeysNotKnown"))
    conditions = scene.policy("late")["status"]["conditions"]
    (message,) = [one["message"] for one in conditions if one["type"] == "SpecComplete"]
    assert message.startswith("spec.limit.ofTomorrow was applied, but the CRD")
    assert "scaler crd | kubectl apply" in message
    assert any("spec.limit.ofTomorrow" in line for line in scaler.complaints())


def test_a_policy_of_before_that_is_deleted_gives_its_floor_back(taken_over):
    scene, scaler = taken_over
    scene.delete("every-key")
    eventually(lambda: scene.floor("every-key") == (OWN_FLOOR, None))
    eventually(lambda: "prod/every-key" not in scaler.ask("/v1/services")[1])
    eventually(lambda: gone(scene, "every-key"))


def gone(scene, name: str) -> bool:
    try:
        scene.policy(name)
    except ClusterAbsentError:
        return True
    return False


def test_nothing_went_wrong(taken_over):
    _, scaler = taken_over
    assert [line for line in scaler.complaints() if "ERROR" in line] == []


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_a_new_follower_waits_for_an_old_leader_until_its_lease_runs_out(tmp_path):
    with standing(tmp_path, handed_over=False) as scene:
        api, clock = connect(scene.server, tmp_path), Clock()
        terms = ElectionSettings("tidegate", "tidegate", "two")
        election = Election(api, terms, lambda: 1_800_000_000.0, clock)
        assert not election.step()
        assert election.leader == "one"
        clock.now += 10.0
        renew(scene, "2026-11-30T15:32:32.000000Z")  # as the old leader does
        assert not election.step()
        clock.now += 14.0
        assert not election.step()
        clock.now += 2.0
        assert election.step()
        assert scene.holder() == "two"


def renew(scene, at: str) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/tidegate/leases/tidegate"
    scene.ground.edit(path, {"spec": {"renewTime": at}}, "unknown")


@pytest.mark.parametrize("plain", read("memories.json"))
def test_what_was_published_of_every_kind_is_read_and_written_as_it_was(plain):
    assert to_plain(from_plain(plain)) == plain


@pytest.mark.parametrize("plain", read("memories.json"))
def test_more_than_was_published_is_left_alone(plain):
    """A newer leader may keep more; this one goes on with what it knows."""
    more = {**plain, "budget": 5}
    if "trust" in plain:
        more["trust"] = {**plain["trust"], "mood": "good"}
    assert to_plain(from_plain(more)) == plain

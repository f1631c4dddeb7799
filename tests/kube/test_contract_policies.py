"""The contract of DemandPolicies: the watch, the finalizer, the status and Events."""

from __future__ import annotations

import pytest

from scaler.adapters.kube.client import Request
from scaler.control.cluster_port import Notice, PolicyStatus
from scaler.control.snapshot import Condition, ConditionKind
from scaler.hpa.floor_ownership import FINALIZER
from scaler.hpa.rules import HPASpec, MetricKind
from tests.kube.objects import policy
from tests.waiting import eventually

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.fixture
def path(playground):
    return playground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1")


@pytest.fixture
def item_id(cluster, playground, path):
    playground.put(path, policy())
    name = f"{playground.namespace}/shop"
    eventually(lambda: name in cluster.policies())
    return name


def status(**changes):
    trusted = changes.pop("well", True)
    condition = Condition(ConditionKind.FORECAST_TRUSTED, trusted, "Calibrated", "as it should be")
    return PolicyStatus(
        **{
            "generation": 1,
            "floor": 5,
            "demand_qps": 123.456,
            "limit_qps": 400.0,
            "trusted": trusted,
            "reasons": {"plan": "wanted", "limit": "capacity"},
            "conditions": (condition,),
            "published": {"version": 7},
            **changes,
        }
    )


def test_policies_are_added_changed_and_deleted(cluster, playground, path, item_id):
    assert cluster.policies()[item_id].policy.scale.max_replicas == 10

    playground.edit(f"{path}/shop", {"spec": {"replicas": {"max": 12}}})
    eventually(lambda: cluster.policies()[item_id].policy.scale.max_replicas == 12)
    assert cluster.policies()[item_id].generation == 2
    playground.admin.call(Request("DELETE", f"{path}/shop"))
    eventually(lambda: item_id not in cluster.policies())


def test_a_policy_comes_with_the_autoscaler_that_it_names(cluster, playground, path, item_id):
    assert cluster.policies()[item_id].hpa is None

    pods = {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "40"}}
    hpa = {"minReplicas": 2, "maxReplicas": 9, "metrics": [{"type": "Pods", "pods": pods}]}
    playground.edit(f"{path}/shop", {"spec": {"hpa": hpa}})

    named = HPASpec(2, 9, MetricKind.PODS, 40.0)
    eventually(lambda: cluster.policies()[item_id].hpa == named)


def test_an_invalid_policy_has_its_faults_without_line_numbers(cluster, playground, path):
    # The model has more rules than the CRD's schema can express.
    playground.put(path, policy("wrong", simulation={"serviceTime": "2s"}))
    name = f"{playground.namespace}/wrong"
    eventually(lambda: name in cluster.policies())

    kept = cluster.policies()[name]

    assert kept.policy is None
    assert kept.faults == (
        (
            "spec.simulation.serviceTime: must be so short that an idle replica meets the SLO, "
            'which is 0.999 of the requests within 0.5s (got "2s"); a tenth of that latency is '
            "usual"
        ),
    )


def test_a_guarded_policy_waits_until_it_is_released(cluster, playground, path, item_id):
    assert cluster.guard(item_id)
    assert cluster.guard(item_id)  # a second call changes nothing
    assert playground.policy()["metadata"]["finalizers"] == [FINALIZER]

    playground.admin.call(Request("DELETE", f"{path}/shop"))
    eventually(lambda: cluster.policies()[item_id].deleting)
    assert cluster.release(item_id)
    eventually(lambda: item_id not in cluster.policies())
    assert not cluster.release(item_id)


def test_finalizers_of_others_stay(cluster, playground, path, item_id):
    playground.edit(f"{path}/shop", {"metadata": {"finalizers": ["example.com/mine"]}})

    cluster.guard(item_id)
    cluster.release(item_id)

    assert playground.policy()["metadata"]["finalizers"] == ["example.com/mine"]
    playground.edit(f"{path}/shop", {"metadata": {"finalizers": None}})


def test_an_object_that_is_being_deleted_gets_no_finalizer(cluster, playground, path, item_id):
    playground.edit(f"{path}/shop", {"metadata": {"finalizers": ["example.com/mine"]}})
    playground.admin.call(Request("DELETE", f"{path}/shop"))

    assert not cluster.guard(item_id)
    playground.edit(f"{path}/shop", {"metadata": {"finalizers": None}})


def test_a_status_is_written_as_the_crd_has_it(cluster, playground, item_id):
    assert cluster.publish(item_id, status(), now=NOW)

    assert playground.policy()["status"] == {
        "observedGeneration": 1,
        "floor": 5,
        "demandQps": 123,
        "limitQps": 400,
        "trusted": True,
        "reasons": {"plan": "wanted", "limit": "capacity"},
        "conditions": [
            {
                "type": "ForecastTrusted",
                "status": "True",
                "reason": "Calibrated",
                "message": "as it should be",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": 1,
            }
        ],
        "published": {"version": 7},
    }


def test_an_unchanged_status_is_not_written(cluster, playground, item_id):
    cluster.publish(item_id, status(), now=NOW)
    before = playground.policy()["metadata"]["resourceVersion"]

    assert not cluster.publish(item_id, status(), now=NOW + 60)
    assert playground.policy()["metadata"]["resourceVersion"] == before


def test_a_condition_keeps_its_time_until_its_status_changes(cluster, playground, item_id):
    def since():
        return playground.policy()["status"]["conditions"][0]["lastTransitionTime"]

    cluster.publish(item_id, status(), now=NOW)
    cluster.publish(item_id, status(floor=6), now=NOW + 60)
    assert since() == "2026-01-01T00:00:00Z"
    cluster.publish(item_id, status(well=False), now=NOW + 120)
    assert since() == "2026-01-01T00:02:00Z"


def test_values_that_are_not_known_any_more_are_removed_from_the_status(
    cluster, playground, item_id
):
    cluster.publish(item_id, status(published={"a": {"b": 1}, "c": 2}), now=NOW)
    new = status(demand_qps=float("nan"), reasons={"plan": "held"}, published={"a": {"d": 3}})
    cluster.publish(item_id, new, now=NOW + 60)

    found = playground.policy()["status"]
    assert "demandQps" not in found
    assert found["reasons"] == {"plan": "held"}
    assert found["published"] == {"a": {"d": 3}}


def test_rates_and_the_checkpoint_are_written_once_a_minute_and_the_rest_at_once(cluster, item_id):
    cluster.publish(item_id, status(), now=NOW)
    moved = {"demand_qps": 640.0, "published": {"version": 8}}
    assert not cluster.publish(item_id, status(**moved), now=NOW + 15)
    assert cluster.publish(item_id, status(**moved, floor=6), now=NOW + 30)
    assert not cluster.publish(item_id, status(floor=6), now=NOW + 89)
    assert cluster.publish(item_id, status(floor=6), now=NOW + 90)


def test_followers_read_what_the_leader_has_published(cluster, item_id):
    cluster.publish(item_id, status(), now=NOW)

    eventually(lambda: cluster.policies()[item_id].published == {"version": 7})


def test_the_status_of_a_deleted_policy_is_not_written(cluster, playground):
    assert not cluster.publish(f"{playground.namespace}/none", status(), now=NOW)


def test_a_notice_is_written_as_an_event(cluster, playground, item_id):
    assert cluster.tell(item_id, Notice("FloorRaised", "3 -> 8"), now=NOW)

    (event,) = told(playground)
    assert (event["reason"], event["note"], event["type"]) == ("FloorRaised", "3 -> 8", "Normal")
    assert event["regarding"]["name"] == "shop"
    assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"


def test_a_repeated_notice_is_counted(cluster, playground, item_id):
    for minutes in (0, 1, 2):
        cluster.tell(item_id, Notice("FloorRaised", "3 -> 8"), now=NOW + 60 * minutes)

    (event,) = told(playground)
    assert event["series"]["count"] == 3


def test_a_notice_repeated_much_later_is_a_new_event(cluster, playground, item_id):
    for minutes in (0, 30):
        cluster.tell(item_id, Notice("FloorRaised", "3 -> 8"), now=NOW + 60 * minutes)

    assert len(told(playground)) == 2


def told(playground):
    return playground.admin.get(playground.listing("events", "/apis/events.k8s.io/v1"))["items"]

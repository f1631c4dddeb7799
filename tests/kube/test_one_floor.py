"""Who else writes: other policies, users who stop a workload, and HPAs that are created anew.

The scaler's own parts on the API server in memory, tick by tick.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from scaler.adapters.kube.client import Request
from scaler.adapters.kube.objects import time_text
from scaler.adapters.kube.workloads_port import ClusterWorkloads
from scaler.adapters.policy_sources import ClusterPolicies
from scaler.control.cluster_port import AlwaysLeading
from scaler.control.observations import Workload
from scaler.control.snapshot import ConditionKind, ServiceView
from scaler.decision.capacity import given_capacity
from scaler.decision.decide import DecisionSettings, Observation, decide, initial_state
from scaler.decision.demand import NO_FORECAST
from scaler.errors import ClusterRefusedError
from scaler.hpa.floor_ownership import FINALIZER, LEFT_UNTIL, ORIGINAL, Target
from tests.kube.objects import deployment, hpa, pod, policy
from tests.waiting import eventually

NOW = 1_767_225_600.0
OWN = 3
HPAS, SCALED = "horizontalpodautoscalers", "/apis/apps/v1"
EXTERNAL = [{"type": "External", "external": {"metric": {"name": "queue"}}}]


class Site:
    """A service with its HPA and three ready pods, and the scaler that looks after it.

    Attributes:
        asks: replicas that the plan of each policy is to ask for.
    """

    def __init__(self, playground, cluster) -> None:
        self.ground, self.cluster, self.now = playground, cluster, NOW
        self.asks: dict[str, int] = {}
        self.policies = ClusterPolicies(cluster)
        self.workloads = ClusterWorkloads(cluster, AlwaysLeading(), workers=2)
        self.policy_path = playground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1")
        self.hpa_path = f"{playground.listing(HPAS)}/shop"
        self.deployment = f"{playground.listing('deployments', SCALED)}/shop"
        self.pods = playground.listing("pods", "/api/v1")

    def stand(self, **autoscaler) -> None:
        found = hpa(least=OWN, most=60)
        found["spec"] |= autoscaler
        self.ground.put(self.ground.listing(HPAS), found)
        self.ground.put(self.ground.listing("deployments", SCALED), deployment())
        for name in "abc":
            self.ground.put(self.pods, pod(name))
        target = Target(self.ground.namespace, "shop")
        eventually(lambda: len(self.cluster.observe(target).pods) == 3)
        eventually(lambda: len(self.cluster.policies()) == len(self.asks))

    def ask_for(self, name: str, replicas: int, mode: str = "Enforce", **spec) -> None:
        self.asks[f"{self.ground.namespace}/{name}"] = replicas
        bounds = {"min": 1, "max": 60, **spec}
        found = policy(name, mode=mode, targetRef={"name": "shop"}, demand={"query": "q"})
        found["spec"]["replicas"] = bounds
        self.ground.put(self.policy_path, found)
        eventually(lambda: len(self.cluster.policies()) == len(self.asks))

    def restart(self) -> None:
        """Have another leader begin, with what stands in the cluster."""
        self.workloads.close()
        self.workloads = ClusterWorkloads(self.cluster, AlwaysLeading(), workers=2)

    def tick(self, seconds: float = 15.0) -> dict[str, ServiceView]:
        self.now += seconds
        watched = self.policies.current()
        seen = self.workloads.observe(watched, self.now)
        views = [self._view(one.policy, seen[one.policy.item_id]) for one in watched]
        outcomes = self.workloads.apply(views, self.now)
        return {
            view.item_id.partition("/")[2]: view.told(outcomes.get(view.item_id)) for view in views
        }

    def _view(self, policy, workload: Workload | str) -> ServiceView:
        if isinstance(workload, str):
            return ServiceView(policy=policy, at=self.now, error=workload)
        settings = DecisionSettings(given_capacity(50.0), policy.scale)
        asked = Observation(self.now, 100.0, NO_FORECAST, warm=3.0)
        decision = decide(asked, initial_state(2, self.now), settings)
        plan = replace(decision.plan, replicas=self.asks[policy.item_id])
        return ServiceView(
            policy=policy,
            at=self.now,
            replicas=workload.replicas,
            floor=workload.floor,
            decision=replace(decision, plan=plan),
        )

    def floor(self) -> tuple[int, str | None]:
        found = self.ground.hpa()
        return found["spec"]["minReplicas"], found["metadata"].get("annotations", {}).get(ORIGINAL)

    def guarded(self, name: str) -> bool:
        return FINALIZER in (self.ground.policy(name)["metadata"].get("finalizers") or ())

    def delete(self, path: str) -> None:
        self.ground.admin.call(Request("DELETE", path))

    def edit_policy(self, name: str, **spec) -> None:
        item = f"{self.ground.namespace}/{name}"
        before = self.cluster.policies()[item].generation
        self.ground.edit(f"{self.policy_path}/{name}", {"spec": spec})
        eventually(lambda: self.cluster.policies()[item].generation > before)

    def scale(self, replicas: int) -> None:
        """Do as `kubectl scale` and the controllers behind it."""
        self.ground.edit(self.deployment, {"spec": {"replicas": replicas}})
        if replicas == 0:
            for name in "abc":
                self.delete(f"{self.pods}/{name}")

    def says_of_hpa(self, **status) -> None:
        self.ground.admin.patch(f"{self.hpa_path}/status", {"status": status}, fieldManager="hpa")

    def replicas(self) -> int:
        return self.ground.admin.get(self.deployment)["spec"]["replicas"]


def ready(view: ServiceView) -> tuple[bool, str]:
    (found,) = [one for one in view.conditions if one.kind is ConditionKind.READY]
    return found.status, found.reason


@pytest.fixture
def site(playground, cluster):
    with ExitStack() as stack:
        made = Site(playground, cluster)
        stack.callback(lambda: made.workloads.close())  # noqa: PLW0108 - of the last leader
        yield made


# Several policies on one HPA.


@pytest.fixture
def shared(site):
    """Two policies on one HPA; the older asks for more."""
    site.ask_for("older", 23)
    site.ground.server.store.now = site.ground.server.store.now.replace(hour=1)
    site.ask_for("younger", 5)
    site.stand()
    return site


def test_the_oldest_policy_owns_the_floor_and_the_other_is_told(shared):
    shared.tick()
    seen = [(shared.tick(), shared.floor()[0]) for _ in range(4)]
    assert {floor for _, floor in seen} == {23}
    assert {ready(views["older"]) for views, _ in seen} == {(True, "Enforcing")}
    assert {ready(views["younger"]) for views, _ in seen} == {(False, "TargetTaken")}
    assert {views["younger"].floor for views, _ in seen} == {23}  # what stands, whoever wrote it
    assert (shared.guarded("older"), shared.guarded("younger")) == (True, False)


@pytest.mark.parametrize("way", ["deleted", "set to Recommend"])
def test_when_the_owner_goes_the_next_takes_over_without_a_lower_floor_between(shared, way):
    shared.tick()
    if way == "deleted":
        shared.delete(f"{shared.policy_path}/older")
        eventually(lambda: shared.cluster.policies()["prod/older"].deleting)
    else:
        shared.edit_policy("older", mode="Recommend")
    views = shared.tick()
    assert ready(views["younger"]) == (True, "Enforcing")
    with shared.ground.server.store.locked():
        floors = [
            one.found["spec"]["minReplicas"]
            for one in shared.ground.server.store.history
            if one.kind.plural == HPAS
        ]
    assert [one for one in floors if one < 5] == [OWN]  # only before all of it
    assert shared.floor() == (5, str(OWN))
    if way != "deleted":
        shared.tick()
        assert (shared.guarded("older"), shared.guarded("younger")) == (False, True)


# Workloads at 0.


@pytest.mark.parametrize(
    ("slept", "wake", "expected"),
    [
        pytest.param(False, False, (0, "ScaledToZeroByUser"), id="stopped by hand: it stays"),
        pytest.param(False, True, (8, "Enforcing"), id="unless the policy is to wake it"),
        pytest.param(True, False, (8, "Enforcing"), id="its autoscaler has put it to sleep"),
    ],
)
def test_a_workload_at_0_is_woken_only_if_that_is_right(site, slept, wake, expected):
    site.ask_for("shop", 8, wake=wake)
    site.stand()
    site.tick()
    if slept:
        site.says_of_hpa(conditions=[{"type": "ScaledToZero", "status": "True"}])
    site.scale(0)
    target = next(one.target for one in site.cluster.raised())
    eventually(lambda: not site.cluster.observe(target).pods)
    eventually(lambda: site.cluster.autoscaler(target).slept is slept)
    for _ in range(3):
        views = site.tick()
    assert (site.replicas(), ready(views["shop"])[1]) == expected


@pytest.mark.parametrize("way", ["the policy is set to Recommend", "the policy is deleted"])
def test_a_floor_of_0_of_the_users_own_comes_back_as_0(site, way):
    site.ask_for("shop", 8)
    site.stand(minReplicas=0, metrics=EXTERNAL)
    site.tick()
    assert site.floor() == (8, "0")
    if way == "the policy is deleted":
        site.delete(f"{site.policy_path}/shop")
        eventually(lambda: site.cluster.policies()["prod/shop"].deleting)
    else:
        site.edit_policy("shop", mode="Recommend")
    site.tick()
    assert site.floor() == (0, None)


# Which pods are the workload's.


def selects(site, selector: str) -> None:
    status = {"status": {"selector": selector, "replicas": 3}}
    site.ground.admin.patch(f"{site.deployment}/status", status, fieldManager="rollouts")


def revision(name: str, label: str):
    found = pod(name)
    found["metadata"]["labels"]["hash"] = label
    return found


def test_a_selector_that_moves_is_followed_with_the_pods(site):
    site.ask_for("shop", 8)
    site.stand()
    for name in "def":
        site.ground.put(site.pods, revision(name, "bbb"))
    for name in "abc":
        site.ground.edit(f"{site.pods}/{name}", {"metadata": {"labels": {"hash": "aaa"}}})
    selects(site, "app=shop,hash=aaa")
    eventually(lambda: site.tick()["shop"].replicas == 3)

    selects(site, "app=shop,hash=bbb")
    for name in "abc":
        site.delete(f"{site.pods}/{name}")
    left = {site.ground.admin.get(f"{site.pods}/{name}")["metadata"]["uid"] for name in "def"}
    target = site.cluster.raised()[0].target
    eventually(lambda: {one.uid for one in site.cluster.observe(target).pods} == left)


def test_no_pods_are_not_believed_while_the_autoscaler_counts_some(site):
    site.ask_for("shop", 8)
    site.stand()
    site.tick()
    site.says_of_hpa(currentReplicas=3, desiredReplicas=3)
    selects(site, "app=another")
    for name in "abc":
        site.delete(f"{site.pods}/{name}")
    eventually(lambda: site.tick()["shop"].replicas is None)
    error = site.tick()["shop"].error
    assert "no pods of prod/shop are found, but 3 are counted" in error
    assert site.floor()[0] == 8  # what is not known lowers nothing


# HPAs that are created anew.


def recreate(site, least: int, **meta) -> None:
    ((found, *_),) = site.cluster._autoscalers.all().values()  # while it is surely seen
    target = found.target
    site.delete(site.hpa_path)
    site.ground.put(site.ground.listing(HPAS), hpa(least=least, most=60, **meta))
    uid = site.ground.hpa()["metadata"]["uid"]
    eventually(lambda: site.cluster.autoscaler(target).uid == uid)


def test_an_hpa_that_is_created_anew_is_raised_at_once(site):
    site.ask_for("shop", 8)
    site.stand()
    site.tick()
    recreate(site, 4)
    assert ready(site.tick()["shop"]) == (True, "Enforcing")
    assert site.floor() == (8, "4")


def test_what_was_contested_of_another_hpa_is_forgotten(site):
    site.ask_for("shop", 8)
    site.stand()
    site.tick()
    site.ground.edit(site.hpa_path, {"spec": {"minReplicas": 4}}, "argocd-controller")
    eventually(lambda: ready(site.tick()["shop"]) == (False, "FloorContested"))
    recreate(site, 4)
    assert ready(site.tick()["shop"]) == (True, "Enforcing")


def test_a_copy_of_a_raised_hpa_has_the_floor_of_its_user(site):
    site.ask_for("shop", 8)
    site.stand()
    site.tick()
    kept = site.ground.hpa()["metadata"]["annotations"]
    recreate(site, 8, annotations=kept)
    assert ready(site.tick()["shop"]) == (True, "Enforcing")
    assert site.floor() == (8, str(OWN))
    site.edit_policy("shop", mode="Recommend")
    site.tick()
    assert site.floor() == (OWN, None)


# Who contests, and what is told of it.


def test_a_contested_floor_is_told_as_it_stands_and_survives_a_change_of_leader(site):
    site.ask_for("shop", 18)
    site.stand()
    site.tick()
    site.ground.edit(site.hpa_path, {"spec": {"minReplicas": 3}}, "argocd-controller")
    eventually(lambda: ready(site.tick()["shop"]) == (False, "FloorContested"))
    status = site.ground.policy("shop")["status"]
    told = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert told["FloorContested"] == ("True", "Reverted")
    assert told["Ready"] == ("False", "FloorContested")
    assert (status["floor"], site.tick()["shop"].floor) == (3, 3)
    eventually(lambda: site.tick(0.0) and "contest" in _published(site))

    site.restart()
    for _ in range(3):
        assert ready(site.tick()["shop"]) == (False, "FloorContested")
    assert site.floor()[0] == 3
    assert ready(site.tick(400.0)["shop"]) == (True, "Enforcing")


def _published(site) -> dict:
    return site.ground.policy("shop")["status"]["published"]


# The finalizer.


def test_the_finalizer_is_there_only_while_a_floor_of_ours_is(site):
    site.ask_for("shop", 2)
    site.stand()
    site.tick()
    assert not site.guarded("shop")  # the user's own floor is higher
    site.asks["prod/shop"] = 8
    site.tick()
    assert site.guarded("shop")
    site.edit_policy("shop", mode="Recommend")
    site.tick()
    assert not site.guarded("shop")


def test_a_finalizer_of_a_version_before_is_swept(site):
    site.ask_for("shop", 8, mode="Recommend")
    site.stand()
    path = f"{site.policy_path}/shop"
    site.ground.edit(path, {"metadata": {"finalizers": [FINALIZER]}})
    eventually(lambda: site.cluster.policies()["prod/shop"].guarded)
    site.tick()
    assert not site.guarded("shop")


def test_a_policy_whose_autoscaler_keda_owns_has_none(site):
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "so", "uid": "1"}
    site.ask_for("shop", 8)
    site.stand()
    site.tick()
    site.ground.edit(site.hpa_path, {"metadata": {"ownerReferences": [owner]}})
    eventually(lambda: ready(site.tick()["shop"]) == (False, "OwnedByKEDA"))
    assert not site.guarded("shop")
    assert site.floor() == (OWN, None)


# A ceiling below a raised floor.


def test_a_floor_that_is_put_back_stays_until_its_time_is_over(site):
    site.ask_for("shop", 8)
    site.stand()
    site.tick()
    with pytest.raises(ClusterRefusedError, match="minReplicas"):
        site.ground.edit(site.hpa_path, {"spec": {"maxReplicas": 6}})  # as a sync does
    until = {"metadata": {"annotations": {LEFT_UNTIL: time_text(site.now + 600)}}}
    site.ground.edit(f"{site.policy_path}/shop", until)
    eventually(lambda: site.cluster.policies()["prod/shop"].left_until)
    assert ready(site.tick()["shop"]) == (False, "RestoredByUser")
    assert (site.floor(), site.guarded("shop")) == ((OWN, None), False)

    site.ground.edit(site.hpa_path, {"spec": {"maxReplicas": 6}})
    target = Target(site.ground.namespace, "shop")
    eventually(lambda: site.cluster.autoscaler(target).max_replicas == 6)
    assert ready(site.tick(300.0)["shop"]) == (False, "RestoredByUser")
    views = site.tick(300.0)
    assert ready(views["shop"]) == (True, "Enforcing")
    assert site.floor() == (6, str(OWN))
    fits = [one for one in views["shop"].conditions if one.kind is ConditionKind.PLAN_FITS]
    assert [(one.status, one.reason) for one in fits] == [(False, "AboveMaxReplicas")]


def test_what_a_raised_floor_keeps_from_being_lowered_is_told(site):
    site.ask_for("shop", 8)
    site.stand()
    for _ in range(2):
        views = site.tick()
    (told,) = [one for one in views["shop"].conditions if one.kind is ConditionKind.READY]
    assert "refuses a maxReplicas below 8" in told.message
    assert "scaler restore prod/shop" in told.message

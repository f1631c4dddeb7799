"""The workloads port on a fake cluster: who writes, when nothing is written, and the conditions."""

from dataclasses import replace

import pytest

from scaler.adapters.kube.workloads_port import ClusterWorkloads
from scaler.adapters.policy_sources import ClusterPolicies
from scaler.control.checkpoint import ServiceCheckpoint
from scaler.control.cluster_port import AtZero, FloorOutcome, ScaledWorkload
from scaler.control.conditions import not_decided
from scaler.control.observations import Pod
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import ConditionKind, PlanOutcome, ServiceView
from scaler.decision.capacity import given_capacity
from scaler.decision.decide import DecisionSettings, Observation, decide, initial_state
from scaler.decision.demand import NO_FORECAST
from scaler.decision.replicas import ScalePolicy
from scaler.errors import ClusterError, ClusterUnreachableError
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.hpa.floor_ownership import Autoscaler, Refusal, Target
from scaler.limits.published_limit import published_limit
from scaler.limits.schedule import Fleet
from scaler.policy.policy import Mode, Policy
from scaler.policy.replay_settings import plain_hpa
from tests.fakes import FakeCluster

NOW = 1_000_000.0
TARGET = Target("shop", "web")
POLICY = Policy(
    item_id="shop/web", target="web", scale=ScalePolicy(2, 60), capacity_qps=50.0, mode=Mode.ENFORCE
)


class Cluster:
    """A fake cluster of one HPA that records the calls to it."""

    def __init__(self, floor=2, pods=()):
        self.floor, self.pods = floor, pods
        self.original_min_replicas = None  # the floor that is raised
        self.outcome = None  # outcomes of the next writes; None: the floor stands
        self.at_zero = None
        self.calls, self.notices = [], []
        self.broken = False

    def policies(self):
        return {}

    def autoscaler(self, target):
        return Autoscaler(target=target, min_replicas=self.floor, max_replicas=60)

    def raised(self):
        if self.original_min_replicas is None:
            return ()
        return (
            Autoscaler(
                target=TARGET,
                min_replicas=9,
                max_replicas=60,
                original_min_replicas=self.original_min_replicas,
            ),
        )

    def observe(self, target):
        if self.broken:
            raise ClusterError("the API server did not answer within 5 s")
        return ScaledWorkload(self.autoscaler(target), self.pods, self.at_zero)

    def set_floor(self, wish, guard):
        if self.broken:
            raise ClusterError("the API server did not answer within 5 s")
        self.calls.append(("floor", wish.replicas, wish.reclaim))
        if self.outcome is not None:
            return self.outcome
        moved, self.floor = self.floor != wish.replicas, wish.replicas
        return FloorOutcome(self.floor, moved=moved)

    def restore(self, target, policy_min=None):
        self.calls.append(("restore", policy_min))
        return FloorOutcome(policy_min)

    def wake(self, target, replicas):
        self.calls.append(("wake", replicas))
        return True

    def tell(self, item_id, notice, *, now):
        self.notices.append(notice.reason)
        return True


def said(outcome, kind=ConditionKind.READY):
    """Return the one condition of a kind."""
    (found,) = [one for one in outcome.conditions if one.kind is kind]
    return found


class Leads:
    def __init__(self, leading=True):
        self.leading = leading

    def leads(self):
        return self.leading


def view(qps=400.0, policy=POLICY, **changes):
    """A service that needs ten replicas at 400 QPS: 400 / (50 x 0.8)."""
    core = DecisionSettings(given_capacity(50.0), policy.scale)
    decision = decide(Observation(NOW, qps, NO_FORECAST, warm=4.0), initial_state(2, NOW), core)
    limit = published_limit(decision, Fleet((300.0,) * 4, 50.0), 2, policy.limit)
    made = ServiceView(
        policy=policy, at=NOW, replicas=4, ready=4, decision=decision, published_limit=limit
    )
    return replace(made, **changes)


@pytest.fixture
def acting():
    made = []

    def make(cluster, leading=True):
        made.append(ClusterWorkloads(cluster, Leads(leading), workers=2))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_enforced_plan_becomes_the_floor_and_an_event(acting):
    cluster = Cluster()
    condition = said(acting(cluster).apply([view()], NOW)["shop/web"])
    assert cluster.floor == 10
    assert cluster.notices == ["FloorMoved"]
    assert (condition.kind, condition.status, condition.reason) == (
        ConditionKind.READY, True, "Enforcing",
    )  # fmt: skip


def test_in_recommend_mode_nothing_of_ours_is_left(acting):
    cluster = Cluster()
    cluster.original_min_replicas = 3  # left by a former leader
    policy = replace(POLICY, mode=Mode.RECOMMEND)
    condition = said(acting(cluster).apply([view(policy=policy)], NOW)["shop/web"])
    assert cluster.calls == [("restore", 2)]
    assert condition.reason == "Recommending"


def test_in_recommend_mode_an_hpa_without_our_annotation_is_not_called(acting):
    cluster = Cluster()
    policy = replace(POLICY, mode=Mode.RECOMMEND)
    acting(cluster).apply([view(policy=policy)], NOW)
    assert cluster.calls == []


def test_a_follower_writes_nothing(acting):
    cluster = Cluster()
    assert acting(cluster, leading=False).apply([view()], NOW) == {}
    assert cluster.calls == []


def test_a_contested_floor_is_left_alone_for_longer_each_time(acting):
    cluster = Cluster()
    cluster.outcome = FloorOutcome(2, refusal=Refusal.CONTESTED, manager="argocd-controller")
    clustered = acting(cluster)
    tried = []
    for now in range(0, 2000, 15):
        before = len(cluster.calls)
        outcome = clustered.apply([view()], NOW + now)["shop/web"]
        condition = said(outcome, ConditionKind.FLOOR_CONTESTED)
        assert condition.status
        assert (said(outcome).status, said(outcome).reason) == (False, "FloorContested")
        if len(cluster.calls) > before:
            tried.append(now)
    assert tried == [0, 300, 900]  # five minutes, ten, twenty
    assert "ignoreDifferences" in condition.message
    assert [reclaim for _, _, reclaim in cluster.calls] == [False, True, True]


def test_an_hpa_of_keda_is_refused_and_the_remedy_is_told_once(acting):
    cluster = Cluster()
    cluster.outcome = FloorOutcome(
        2, refusal=Refusal.KEDA, message="add a trigger of type external"
    )
    clustered = acting(cluster)
    for now in (0, 15, 30):
        condition = said(clustered.apply([view()], NOW + now)["shop/web"])
    assert (condition.status, condition.reason) == (False, "OwnedByKEDA")
    assert cluster.notices == ["OwnedByKEDA"]


def test_a_failed_call_becomes_a_condition_and_is_tried_again(acting):
    cluster = Cluster()
    clustered = acting(cluster)
    cluster.broken = True
    failed = said(clustered.apply([view()], NOW)["shop/web"])
    assert (failed.status, failed.reason) == (False, "ClusterFailed")
    cluster.broken = False
    assert said(clustered.apply([view()], NOW + 15)["shop/web"]).status
    assert cluster.floor == 10


@pytest.mark.parametrize(
    ("at_zero", "wake", "reason", "calls"),
    [
        pytest.param(
            AtZero.STOPPED, False, "ScaledToZeroByUser", [], id="somebody has stopped it: it stays"
        ),
        pytest.param(
            AtZero.STOPPED, True, "Enforcing", ["wake", "floor"], id="the policy asks to wake it"
        ),
        pytest.param(
            AtZero.ASLEEP, False, "Enforcing", ["wake", "floor"], id="its autoscaler slept"
        ),
        pytest.param(None, True, "Enforcing", ["floor"], id="no pods, though some are asked for"),
    ],
)
def test_a_workload_at_0_replicas_is_woken_only_if_that_is_right(
    acting, at_zero, wake, reason, calls
):
    cluster = Cluster()
    cluster.at_zero = at_zero
    policy = replace(POLICY, wake=wake)
    clustered = acting(cluster)
    clustered.observe([WatchedPolicy(policy, plain_hpa(policy))], NOW)
    outcome = clustered.apply([view(policy=policy, replicas=0)], NOW)["shop/web"]
    assert (said(outcome).reason, [call[0] for call in cluster.calls]) == (reason, calls)
    assert outcome.floor == cluster.floor


def test_a_service_without_a_decision_is_not_acted_on(acting):
    cluster = Cluster()
    outcome = acting(cluster).apply([view(decision=None)], NOW)["shop/web"]
    assert outcome == PlanOutcome(floor=2)  # what stands is told all the same
    assert cluster.calls == []


def test_pods_are_observed_with_the_floor_that_stands(acting):
    pods = (Pod("a", NOW - 500, NOW - 420), Pod("b", NOW - 20, None))
    hpa = HPASpec(2, 60, MetricKind.PODS, 30.0)
    found = acting(Cluster(3, pods)).observe([WatchedPolicy(POLICY, hpa)], NOW)["shop/web"]
    assert (found.pods, found.floor) == (pods, 3)


def test_a_workload_that_cannot_be_observed_has_the_reason(acting):
    cluster = Cluster()
    cluster.broken = True
    hpa = HPASpec(2, 60, MetricKind.PODS, 30.0)
    found = acting(cluster).observe([WatchedPolicy(POLICY, hpa)], NOW)["shop/web"]
    assert found == "the API server did not answer within 5 s"


def test_a_policy_is_guarded_before_its_floor_is_raised_and_restored_when_deleted(acting):
    cluster = FakeCluster()
    target = cluster.put(POLICY)
    clustered = acting(cluster)
    clustered.apply([view()], NOW)
    assert cluster.kept["shop/web"].guarded
    assert cluster.scaled[target].min_replicas == 10
    cluster.delete("shop/web")
    clustered.apply([], NOW + 15)
    assert cluster.scaled[target].min_replicas == 1
    assert "shop/web" not in cluster.kept


def test_a_policy_that_returns_to_recommend_restores_the_floor(acting):
    cluster = FakeCluster()
    target = cluster.put(POLICY)
    clustered = acting(cluster)
    clustered.apply([view()], NOW)
    clustered.apply([view(policy=replace(POLICY, mode=Mode.RECOMMEND))], NOW + 15)
    assert (cluster.scaled[target].min_replicas, cluster.scaled[target].original_min_replicas) == (
        1,
        None,
    )


def test_a_floor_that_no_policy_claims_is_restored(acting):
    cluster = FakeCluster()
    old = cluster.put(POLICY)
    clustered = acting(cluster)
    clustered.apply([view()], NOW)
    moved = replace(POLICY, target="web-v2")
    new = cluster.put(moved, generation=2)
    clustered.apply([view(policy=moved)], NOW + 15)
    assert (cluster.scaled[old].min_replicas, cluster.scaled[new].min_replicas) == (1, 10)


def test_the_decision_is_in_the_policy_s_status(acting):
    cluster = FakeCluster()
    cluster.put(POLICY, generation=7)
    acting(cluster).apply([view()], NOW)
    (status,) = cluster.statuses["shop/web"]
    assert (status.generation, status.floor, status.limit_qps) == (7, 10, 200.0)  # 4 x 50 ready
    assert status.demand_qps == 400.0


def test_the_checkpoint_is_kept_in_the_status_even_without_a_decision(acting):
    cluster = FakeCluster()
    cluster.put(POLICY)
    clustered = acting(cluster)
    clustered.apply([view(checkpoint=ServiceCheckpoint(factor=0.9))], NOW)
    clustered.apply([view(decision=None, error="no such autoscaler")], NOW + 15)
    assert [status.published["factor"] for status in cluster.statuses["shop/web"]] == [0.9, 0.9]


@pytest.mark.parametrize("mode", Mode)
def test_the_reason_for_a_missing_decision_is_in_the_status(acting, mode):
    cluster = FakeCluster()
    policy = replace(POLICY, mode=mode)
    cluster.put(policy)
    undecided = view(policy=policy, decision=None, conditions=(not_decided("no capacity yet"),))
    assert not acting(cluster).apply([undecided], NOW)["shop/web"].conditions
    (status,) = cluster.statuses["shop/web"]
    assert [(c.kind, c.status, c.message) for c in status.conditions] == [
        (ConditionKind.READY, False, "no capacity yet")
    ]


@pytest.mark.parametrize("decision", ["made", "none"])
def test_pruned_keys_are_in_the_status_until_they_are_applied(acting, decision):
    cluster = FakeCluster()
    cluster.put(POLICY)
    whole = cluster.kept["shop/web"]
    views = [view() if decision == "made" else view(decision=None, error="no such autoscaler")]
    clustered = acting(cluster)
    for warnings in (("spec.budget was applied, but ...",), ()):
        cluster.kept["shop/web"] = replace(whole, warnings=warnings)
        clustered.apply(views, NOW)
    messages = [
        [c.message for c in status.conditions if c.kind is ConditionKind.SPEC_COMPLETE]
        for status in cluster.statuses["shop/web"]
    ]
    assert messages == [["spec.budget was applied, but ..."], []]


def test_the_faults_of_an_invalid_policy_are_in_its_status(acting):
    cluster = FakeCluster()
    cluster.put(POLICY)
    cluster.kept["shop/web"] = replace(
        cluster.kept["shop/web"], policy=None, faults=("spec.replicas: min 9 is above max 3",)
    )
    acting(cluster).apply([], NOW)
    (status,) = cluster.statuses["shop/web"]
    assert [(c.reason, c.message) for c in status.conditions] == [
        ("PolicyInvalid", "spec.replicas: min 9 is above max 3")
    ]


def test_a_policy_with_an_invalid_edit_acts_as_before(acting):
    cluster = FakeCluster()
    target = cluster.put(replace(POLICY, demand_query="q"))
    clustered, policies = acting(cluster), ClusterPolicies(cluster)
    clustered.apply([view(policy=one.policy) for one in policies.current()], NOW)
    cluster.kept["shop/web"] = replace(cluster.kept["shop/web"], policy=None, faults=("a slip",))
    for now in (15, 30):
        clustered.apply([view(policy=one.policy) for one in policies.current()], NOW + now)
    assert cluster.scaled[target].min_replicas == 10
    last = cluster.statuses["shop/web"][-1]
    assert [(c.reason, c.message) for c in last.conditions] == [("PolicyInvalid", "a slip")]
    assert last.floor == 10


def test_the_page_compares_with_the_autoscaler_that_a_policy_names_and_one_of_ours_without():
    cluster = FakeCluster()
    cluster.put(replace(POLICY, demand_query="q"))
    policies = ClusterPolicies(cluster)
    (plain,) = policies.current()
    assert plain.hpa == plain_hpa(plain.policy)

    named = HPASpec(2, 9, MetricKind.PODS, 40.0)
    cluster.kept["shop/web"] = replace(cluster.kept["shop/web"], hpa=named)
    assert [one.hpa for one in policies.current()] == [named]
    cluster.kept["shop/web"] = replace(
        cluster.kept["shop/web"], policy=None, hpa=None, faults=("a slip",)
    )
    assert [one.hpa for one in policies.current()] == [named]


def test_an_invalid_policy_without_a_decision_has_one_condition_of_a_kind(acting):
    cluster = FakeCluster()
    cluster.put(POLICY)
    cluster.kept["shop/web"] = replace(cluster.kept["shop/web"], policy=None, faults=("a slip",))
    undecided = view(decision=None, conditions=(not_decided("no such autoscaler"),))
    acting(cluster).apply([undecided], NOW)
    (status,) = cluster.statuses["shop/web"]
    assert [c.message for c in status.conditions] == ["a slip"]


def test_an_invalid_policy_does_not_act_as_a_deleted_one_of_the_same_name(acting):
    cluster = FakeCluster()
    cluster.put(replace(POLICY, demand_query="q"))
    policies = ClusterPolicies(cluster)
    assert len(policies.current()) == 1
    cluster.kept["shop/web"] = replace(
        cluster.kept["shop/web"], uid="2", policy=None, faults=("x",)
    )
    assert policies.current() == ()


def test_an_api_server_that_does_not_reply_is_not_called_a_thousand_times(acting):
    cluster = Cluster()
    wishes = []

    def away(wish, guard):
        wishes.append(wish)
        raise ClusterUnreachableError("no answer within 5 s")

    cluster.set_floor = away
    many = [
        view(policy=replace(POLICY, item_id=f"shop/{n}", target=f"web-{n}")) for n in range(1000)
    ]
    found = acting(cluster).apply(many, NOW)
    assert len(wishes) < 10  # max_failures calls, and those that had begun meanwhile
    assert {said(one).reason for one in found.values()} == {"ClusterFailed"}
    assert len(found) == 1000


def test_services_left_out_of_a_tick_come_first_in_the_next(acting):
    cluster, answers = Cluster(), []
    clustered = acting(cluster)

    def few(wish, guard):
        answers.append(wish)
        if len(answers) % 20 > 10:
            raise ClusterUnreachableError("no answer within 5 s")
        return FloorOutcome(wish.replicas)

    cluster.set_floor = few
    many = [view(policy=replace(POLICY, item_id=f"shop/{n}", target=f"web-{n}")) for n in range(30)]
    for tick in range(20):
        clustered.apply(many, NOW + tick)
    assert len({str(wish.target) for wish in answers}) == 30


def test_a_leader_that_loses_the_lease_during_a_tick_stops_writing(acting):
    cluster, leads = Cluster(), Leads()
    clustered = ClusterWorkloads(cluster, leads, workers=1)
    written = []

    def last(wish, guard):
        written.append(wish)
        leads.leading = False
        return FloorOutcome(wish.replicas, moved=True)

    cluster.set_floor = last
    five = [view(policy=replace(POLICY, item_id=f"shop/{n}", target=f"web-{n}")) for n in range(5)]
    clustered.apply(five, NOW)
    clustered.close()
    assert len(written) == 1

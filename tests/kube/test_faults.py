"""Behaviour while the API server is overloaded, down, slow, or loses responses."""

from __future__ import annotations

from itertools import pairwise

import pytest

from scaler.adapters.kube.client import RetryPolicy
from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
from scaler.adapters.kube.informer import WatchTimes
from scaler.adapters.kube.leader_election import Election, ElectionSettings
from scaler.control.cluster_port import Notice, PolicyStatus
from scaler.errors import ClusterRefusedError, ClusterUnreachableError
from scaler.hpa.floor_ownership import ORIGINAL, DesiredFloor, Target
from tests.kube.conftest import QUICK, connect
from tests.kube.faults import Fault, Harm
from tests.kube.objects import policy
from tests.waiting import PATIENCE_S, eventually

TARGET = Target("prod", "shop")
HPAS = "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers"
POLICIES = "/apis/tidegate.dev/v1alpha1/namespaces/prod/demandpolicies"
PATCH = "PATCH .*horizontalpodautoscalers/shop"


@pytest.fixture
def cluster(ground):
    settings = ClusterSettings("prod", times=WatchTimes(2, 1.0, 0.01, 0.05))
    running = KubernetesCluster(ground.api, settings)
    running.start(PATIENCE_S)
    yield running
    running.close()


def stands(ground):
    found = ground.hpa()
    return found["spec"]["minReplicas"], found["metadata"].get("annotations", {}).get(ORIGINAL)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(PATCH, status=500, times=2), id="500 twice"),
        pytest.param(Fault(PATCH, status=429, headers={"Retry-After": "0"}), id="429"),
        pytest.param(Fault(PATCH, status=503, times=3), id="503 three times"),
        pytest.param(Fault(PATCH, Harm.DROP, times=2), id="connections dropped"),
        pytest.param(Fault(PATCH, Harm.LOSE), id="done, but the answer is lost"),
        pytest.param(Fault("GET .*shop", Harm.DROP), id="the read before it is dropped"),
    ],
)
def test_a_floor_is_raised_in_spite_of(ground, cluster, server, fault):
    server.faults.add(fault)

    assert cluster.set_floor(DesiredFloor(TARGET, 8)).floor == 8
    assert stands(ground) == (8, "3")


@pytest.mark.parametrize(
    "harm", [pytest.param(Harm.LOSE, id="lost"), pytest.param(Harm.DROP, id="dropped")]
)
def test_a_floor_is_restored_whole_in_spite_of_an_answer_that_is(ground, cluster, server, harm):
    cluster.set_floor(DesiredFloor(TARGET, 8))
    server.faults.add(Fault(PATCH, harm))

    cluster.restore(TARGET)

    assert stands(ground) == (3, None)
    owners = {one["manager"] for one in ground.hpa()["metadata"]["managedFields"]}
    assert owners == {"kubectl"}


def test_tries_are_bounded_and_leave_nothing_half_done(ground, cluster, server):
    server.faults.add(Fault(PATCH, status=500, times=99))

    with pytest.raises(ClusterUnreachableError, match="gave up after 4 attempts"):
        cluster.set_floor(DesiredFloor(TARGET, 8))

    assert server.count("PATCH") - server.count("/status") == 4
    assert stands(ground) == (3, None)


def test_retry_after_is_honoured(ground, server, tmp_path):
    waits: list[float] = []
    api = connect(server, tmp_path)
    api.sleep, api.jitter = waits.append, lambda: 0.0
    server.faults.add(Fault("GET .*shop", status=429, headers={"Retry-After": "2"}))

    api.get(f"{HPAS}/shop")

    assert waits == [2.0]


def test_waits_double_and_are_jittered(ground, server, tmp_path):
    waits: list[float] = []
    retry_policy = RetryPolicy(attempts=5, first_s=1.0)
    api = connect(server, tmp_path, retry_policy=retry_policy)
    api.sleep, api.jitter = waits.append, lambda: 0.5
    server.faults.add(Fault("GET .*shop", status=500, times=4))

    api.get(f"{HPAS}/shop")

    assert waits == [0.5, 1.0, 2.0, 4.0]  # half of 1, 2, 4 and 8 s


def test_a_retry_after_beyond_the_budget_gives_up(ground, server, tmp_path):
    api = connect(server, tmp_path)
    server.faults.add(Fault("GET .*shop", status=429, headers={"Retry-After": "3600"}))

    with pytest.raises(ClusterUnreachableError, match="gave up after 1 attempts"):
        api.get(f"{HPAS}/shop")


def test_a_server_that_does_not_reply_gives_up(ground, server, tmp_path):
    api = connect(server, tmp_path, retry_policy=RetryPolicy(attempts=1, read_s=0.05))
    server.faults.add(Fault("GET .*shop", Harm.HOLD))

    with pytest.raises(ClusterUnreachableError, match="timed out"):
        api.get(f"{HPAS}/shop")


@pytest.mark.parametrize(
    ("token", "message"),
    [
        pytest.param("wrong", "401", id="an unknown token"),
        pytest.param("tidegate", "403", id="a token without the right"),
    ],
)
def test_a_forbidden_call_is_not_tried_again(ground, server, tmp_path, token, message):
    api = connect(server, tmp_path, token)
    before = len(server.requests)

    with pytest.raises(ClusterRefusedError, match=message):
        api.get("/apis/apps/v1/namespaces/prod/deployments/shop")

    assert len(server.requests) == before + 1


def test_an_autoscaler_that_changes_between_read_and_write_is_read_again(ground, cluster, server):
    conflict = Fault(PATCH, status=409, times=3)  # without a manager: the object was modified
    server.faults.add(conflict)

    assert cluster.set_floor(DesiredFloor(TARGET, 8)).moved
    assert stands(ground) == (8, "3")


def test_a_value_that_a_user_writes_between_read_and_write_is_their_own_floor(
    ground, cluster, server
):
    def meddle():
        ground.edit(f"{HPAS}/shop", {"spec": {"minReplicas": 5}})

    server.faults.add(Fault(PATCH, Harm.MEDDLE, meddle=meddle))

    assert cluster.set_floor(DesiredFloor(TARGET, 8)).floor == 8
    assert stands(ground) == (8, "5")


def test_an_event_that_cannot_be_written_does_no_harm(ground, cluster, server):
    ground.put(POLICIES, policy())
    eventually(lambda: "prod/shop" in cluster.policies())
    server.faults.add(Fault("POST .*events", status=500, times=99))

    assert not cluster.tell("prod/shop", Notice("FloorRaised", "3 -> 8"), now=0.0)


def test_an_event_whose_response_was_lost_is_written_once(ground, cluster, server):
    ground.put(POLICIES, policy())
    eventually(lambda: "prod/shop" in cluster.policies())
    server.faults.add(Fault("POST .*events", Harm.LOSE))

    assert cluster.tell("prod/shop", Notice("FloorRaised", "3 -> 8"), now=0.0)
    path = "/apis/events.k8s.io/v1/namespaces/prod/events"
    assert len(ground.admin.get(path)["items"]) == 1


def test_a_status_whose_response_was_lost_is_written_once_the_server_is_back(
    ground, cluster, server
):
    ground.put(POLICIES, policy())
    eventually(lambda: "prod/shop" in cluster.policies())
    server.faults.add(Fault("PATCH .*status", Harm.LOSE))

    cluster.publish("prod/shop", PolicyStatus(generation=1, floor=5), now=0.0)

    assert ground.policy()["status"]["floor"] == 5


def test_leaders_never_overlap_while_one_is_disconnected(server, tmp_path):
    now = [0.0]
    one, other = (
        Election(
            connect(server, tmp_path, token, QUICK),
            ElectionSettings("prod", "tidegate", token),
            lambda: now[0],
            lambda: now[0],
        )
        for token in ("admin", "tidegate")
    )
    led: list[tuple[bool, bool]] = []
    for second in range(60):
        now[0] = float(second)
        if second < 5 or second >= 40:  # cut off from 5 to 39 s
            one.step()
        other.step()
        led.append((one.leads(), other.leads()))

    assert (True, True) not in led
    assert led[4] == (True, False)
    assert led[59] == (False, True)
    gaps = [after for before, after in pairwise(led) if before == after == (False, False)]
    assert len(gaps) <= 15  # the duration of the Lease


def test_an_election_whose_renewals_fail_ends_at_its_deadline(server, tmp_path):
    now = [0.0]
    terms = ElectionSettings("prod", "tidegate", "a")
    leader = Election(connect(server, tmp_path), terms, lambda: now[0], lambda: now[0])
    leader.step()
    server.faults.add(Fault("PUT .*leases", status=500, times=99))

    now[0] = 9.9
    assert leader.step()
    now[0] = 10.0
    assert not leader.step()

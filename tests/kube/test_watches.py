"""Watches that expire, break or end: the caches stay equal to the cluster."""

from __future__ import annotations

import threading

import pytest

from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
from scaler.adapters.kube.informer import WatchTimes
from scaler.errors import ClusterUnreachableError
from scaler.hpa.floor_ownership import Target
from tests.kube.conftest import connect
from tests.kube.faults import Fault, Harm
from tests.kube.objects import hpa, policy
from tests.kube.ownership import Writer
from tests.kube.store import Write
from tests.waiting import PATIENCE_S, eventually

TARGET = Target("prod", "shop")
HPAS = "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers"
POLICIES = "/apis/tidegate.dev/v1alpha1/namespaces/prod/demandpolicies"
PATCH = "PATCH .*horizontalpodautoscalers/shop"


@pytest.fixture
def cluster(ground):
    settings = ClusterSettings("prod", times=WatchTimes(1, 1.0, 0.01, 0.05))
    running = KubernetesCluster(ground.api, settings)
    running.start(PATIENCE_S)
    yield running
    running.close()


@pytest.fixture
def cut_off(server):
    """Cut all connections, change something that no watch reports, and reply again."""

    def during(happen):
        server.faults.partition = True
        watched = server.count("watch")
        eventually(lambda: server.count("watch") > watched + 3)
        happen()
        server.store.compact()
        server.faults.partition = False

    return during


def kind_of_policies(server):
    return server.store.kinds["tidegate.dev", "v1alpha1", "demandpolicies"]


def test_objects_created_during_a_disconnect_are_found_by_a_new_list(
    ground, cluster, server, cut_off
):
    write = Write(kind_of_policies(server), "prod", "shop", Writer("kubectl", "Update"))
    cut_off(lambda: server.store.create(write, policy()))

    eventually(lambda: "prod/shop" in cluster.policies())


def test_objects_deleted_during_a_disconnect_are_gone_afterwards(ground, cluster, server, cut_off):
    ground.put(POLICIES, policy())
    eventually(lambda: "prod/shop" in cluster.policies())
    cut_off(lambda: server.store.delete(kind_of_policies(server), "prod", "shop"))

    eventually(lambda: "prod/shop" not in cluster.policies())


def test_a_watch_that_ends_with_410_gone_is_listed_again(ground, cluster, server):
    lists = lists_of_policies(server)
    server.faults.add(Fault("GET .*demandpolicies.*watch", Harm.GONE))

    eventually(lambda: lists_of_policies(server) == lists + 1)
    ground.put(POLICIES, policy())
    eventually(lambda: "prod/shop" in cluster.policies())


def lists_of_policies(server):
    return sum("demandpolicies" in one and "limit=500" in one for one in list(server.requests))


def test_a_quiet_watch_resumes_from_its_bookmarks(ground, cluster, server):
    lists = lists_of_policies(server)
    for name in "abc":  # of another kind, so that the version grows beyond that of the watch
        ground.put(HPAS, hpa(name))
    latest = f"demandpolicies?watch=true&resourceVersion={server.store.version}"
    eventually(lambda: server.count(latest) > 0)
    server.store.compact()
    watched = server.count(latest)
    eventually(lambda: server.count(latest) > watched)

    assert lists_of_policies(server) == lists


def test_caches_that_are_too_old_are_not_acted_on(ground, server):
    now = [0.0]
    settings = ClusterSettings("prod", times=WatchTimes(2, 1.0, 0.01, 0.05))
    cluster = KubernetesCluster(ground.api, settings, clock=lambda: now[0])
    cluster.start(PATIENCE_S)
    server.faults.partition = True
    eventually(lambda: server.count("watch") > 6)

    now[0] = 91.0
    with pytest.raises(ClusterUnreachableError, match="no contact with the API server for 91s"):
        cluster.observe(TARGET)
    assert cluster.policies() == {}  # the cached policies can still be read
    cluster.close()


def test_a_policy_that_is_edited_often_ends_as_it_was_written_last(ground, cluster):
    ground.put(POLICIES, policy())
    for most in range(11, 61):
        ground.edit(f"{POLICIES}/shop", {"spec": {"replicas": {"max": most}}})

    def largest():
        return cluster.policies()["prod/shop"].policy.scale.max_replicas

    eventually(lambda: largest() == 60)


def test_closing_does_not_wait_for_a_watch_to_end(ground, server, caplog):
    server.bookmark_s = 3600.0
    settings = ClusterSettings("prod", times=WatchTimes(window_s=3600, grace_s=3600.0))
    cluster = KubernetesCluster(ground.api, settings)
    cluster.start(PATIENCE_S)
    names = {f"watch {path}" for path in (POLICIES, HPAS, "/api/v1/namespaces/prod/pods")}
    eventually(lambda: server.count("watch=true") >= 3)

    cluster.close()

    assert not names & {one.name for one in threading.enumerate()}
    assert caplog.text == ""


def test_a_cluster_without_the_crd_is_reported_with_the_remedy(server, tmp_path):
    cluster = KubernetesCluster(connect(server, tmp_path), ClusterSettings())

    with pytest.raises(Exception, match="scaler crd"):
        cluster.start(1.0)

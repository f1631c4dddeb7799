"""The clusters to test against: the one in memory, and a real one that the environment names.

`KUBECONFIG` names a real cluster by its file, `TEST_KUBE_APISERVER` by the URL of its API server
(`TEST_KUBE_TOKEN` beside it). It must be one to play with: a namespace is made and deleted, and the
CRD is installed.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import pytest

from scaler.adapters.kube.client import MERGE, Request, RetryPolicy, connected
from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
from scaler.adapters.kube.informer import WatchTimes
from scaler.errors import ClusterConflictError
from scaler.policy.crd import crd
from tests.kube.grants import shipped_grants
from tests.kube.objects import hpa
from tests.kube.server import serving
from tests.waiting import PATIENCE_S

# Retries come fast; a call may take as long as a busy machine needs.
QUICK = RetryPolicy(
    attempts=4, budget_s=PATIENCE_S, first_s=0.01, connect_s=PATIENCE_S, read_s=PATIENCE_S
)
REAL = os.environ.get("KUBECONFIG") or os.environ.get("TEST_KUBE_APISERVER")  # noqa: TID251


@pytest.fixture
def server():
    """The API server in memory, which grants what `deploy/base/rbac.yaml` does."""
    with serving(shipped_grants()) as running:
        yield running


def connect(server, tmp_path, token="tidegate", retry_policy=QUICK):
    """Return a client of the server in memory with the given token."""
    file = tmp_path / f"{token}.kubeconfig"
    file.write_text(server.kubeconfig(token))
    return connected(file, retry_policy=retry_policy)


class Playground:
    """A namespace, an admin's client, and tidegate's own client."""

    def __init__(self, admin, api, namespace, server=None):
        self.admin, self.api, self.namespace, self.server = admin, api, namespace, server

    def put(self, path, found, manager="kubectl"):
        """Create an object of a kind at the path of its list, with its status."""
        found = json.loads(json.dumps(found).replace('"prod"', json.dumps(self.namespace)))
        status, query = found.get("status"), (("fieldManager", manager),)
        made = self.admin.call(Request("POST", path, query, found))
        if status is not None:
            where = f"{path}/{found['metadata']['name']}/status"
            made = self.admin.patch(where, {"status": status}, fieldManager="kubelet")
        return made

    def listing(self, plural, group="/apis/autoscaling/v2"):
        return f"{group}/namespaces/{self.namespace}/{plural}"

    def hpa(self, name="shop"):
        return self.admin.get(f"{self.listing('horizontalpodautoscalers')}/{name}")

    def policy(self, name="shop"):
        return self.admin.get(
            f"{self.listing('demandpolicies', '/apis/tidegate.dev/v1alpha1')}/{name}"
        )

    def edit(self, path, change, manager="kubectl-edit"):
        return self.admin.patch(path, change, MERGE, fieldManager=manager)


def install_crd(admin):
    """Create or update the CRD."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    try:
        admin.post(path, crd())
    except ClusterConflictError:
        admin.patch(f"{path}/{crd()['metadata']['name']}", crd())


@pytest.fixture(params=["memory", "real"] if REAL else ["memory"])
def playground(request, tmp_path):
    """A namespace of the cluster under test, with the CRD installed."""
    if request.param == "memory":
        server = request.getfixturevalue("server")
        admin = connect(server, tmp_path, "admin")
        install_crd(admin)
        yield Playground(admin, connect(server, tmp_path), "prod", server)
        return
    api = connected(_real_kubeconfig(tmp_path))
    namespace = f"tidegate-test-{uuid.uuid4().hex[:8]}"
    install_crd(api)
    api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
    yield Playground(api, api, namespace)
    api.call(Request("DELETE", f"/api/v1/namespaces/{namespace}"))


def _real_kubeconfig(tmp_path) -> Path:
    url = os.environ.get("TEST_KUBE_APISERVER")  # noqa: TID251
    if not url:
        return Path(os.environ["KUBECONFIG"])  # noqa: TID251
    named = {
        "clusters": [{"name": "r", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "r", "user": {"token": os.environ.get("TEST_KUBE_TOKEN", "")}}],  # noqa: TID251
        "contexts": [{"name": "r", "context": {"cluster": "r", "user": "r"}}],
    }
    file = tmp_path / "real.kubeconfig"
    file.write_text(
        json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "r", **named})
    )
    return file


@pytest.fixture
def cluster(playground):
    """tidegate's adapter, watching the namespace."""
    running = KubernetesCluster(
        playground.api,
        ClusterSettings(playground.namespace, "test-0", times=WatchTimes(5, 2.0, 0.01, 0.1)),
    )
    running.start(PATIENCE_S)
    yield running
    running.close()


@pytest.fixture
def ground(server, tmp_path):
    """A namespace of the server in memory, with an autoscaler in it."""
    admin = connect(server, tmp_path, "admin")
    install_crd(admin)
    made = Playground(admin, connect(server, tmp_path), "prod", server)
    made.put(made.listing("horizontalpodautoscalers"), hpa())
    return made

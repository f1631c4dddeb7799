"""When the selector of a workload's pods is read again, and when what was read still counts."""

from __future__ import annotations

import pytest

from scaler.adapters.kube.workloads import ScaleClient, ScaleRef
from scaler.control.observations import Pod
from scaler.errors import ClusterUnreachableError

DEPLOYMENT = ScaleRef("apps/v1", "Deployment", "prod", "shop")
ROLLOUT = ScaleRef("argoproj.io/v1alpha1", "Rollout", "prod", "shop")


class Scaled:
    """An API server with one workload, its pods, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now, self.reads, self.away = 0.0, 0, False
        self.selector = "hash=a"
        self.pods = {"hash=a": ("a0", "a1", "a2"), "hash=b": ("b0", "b1", "b2")}
        self.client = ScaleClient(self, self._select, lambda: self.now)

    def get(self, path: str) -> dict:
        if not path.endswith("/scale"):
            return {"resources": [{"kind": "Rollout", "name": "rollouts"}]}
        if self.away:
            raise ClusterUnreachableError("no answer")
        self.reads += 1
        return {"spec": {"replicas": 3}, "status": {"replicas": 3, "selector": self.selector}}

    def _select(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        return tuple(Pod(uid, 0.0, 1.0) for uid in self.pods.get(selector, ()))

    def uids(self, ref: ScaleRef = DEPLOYMENT, counted: int = 3) -> set[str]:
        return {one.uid for one in self.client.selected(ref, counted).pods}


def unchanged(scaled: Scaled) -> None:
    pass


def a_pod_goes(scaled: Scaled) -> None:
    scaled.pods["hash=a"] = ("a0", "a1")


def all_pods_go(scaled: Scaled) -> None:
    scaled.pods["hash=a"] = ()


def a_minute_passes(scaled: Scaled) -> None:
    scaled.now += 60.0


@pytest.mark.parametrize(
    ("happens", "ref", "counted", "read_again"),
    [
        pytest.param(unchanged, DEPLOYMENT, 3, False, id="nothing: it is remembered"),
        pytest.param(unchanged, DEPLOYMENT, 0, False, id="nor does the autoscaler count"),
        pytest.param(unchanged, DEPLOYMENT, 4, True, id="the autoscaler counts others"),
        pytest.param(a_pod_goes, DEPLOYMENT, 0, True, id="a pod goes"),
        pytest.param(all_pods_go, DEPLOYMENT, 0, True, id="all pods go"),
        pytest.param(a_minute_passes, DEPLOYMENT, 3, True, id="a minute passes"),
        pytest.param(unchanged, ROLLOUT, 3, True, id="a kind whose selector may move"),
    ],
)
def test_a_selector_that_may_have_moved_is_read_again(happens, ref, counted, read_again):
    scaled = Scaled()
    assert scaled.uids(ref) == {"a0", "a1", "a2"}
    scaled.selector = "hash=b"
    happens(scaled)
    expected = {"b0", "b1", "b2"} if read_again else {"a0", "a1", "a2"}
    assert scaled.uids(ref, counted) == expected
    assert scaled.reads == 1 + read_again


def test_while_the_api_server_is_away_what_it_said_last_counts_for_a_while():
    scaled = Scaled()
    scaled.uids(ROLLOUT)
    scaled.away, scaled.now = True, 89.0
    assert scaled.uids(ROLLOUT) == {"a0", "a1", "a2"}
    scaled.now = 91.0
    with pytest.raises(ClusterUnreachableError):
        scaled.uids(ROLLOUT)


def test_while_it_is_away_no_pods_are_not_believed():
    scaled = Scaled()
    scaled.uids()
    all_pods_go(scaled)
    scaled.away = True
    with pytest.raises(ClusterUnreachableError):
        scaled.uids()

"""The leader label: it is on one pod, which the Service of the limits selects."""

from __future__ import annotations

import pytest
import yaml

from scaler.adapters.kube.leader_label import LABEL, LeaderLabel
from tests.deploy.manifests import BASE
from tests.kube.faults import Fault
from tests.kube.objects import pod
from tests.waiting import eventually


@pytest.fixture
def label(playground):
    """Return the leader label of a pod; both pods exist."""
    made = []
    for name in ("tidegate-a", "tidegate-b"):
        playground.put(playground.listing("pods", "/api/v1"), pod(name))

    def keep(name):
        made.append(LeaderLabel(playground.api, playground.namespace, name, retry_s=0.05))
        made[-1].start()
        return made[-1]

    yield keep
    for one in made:
        one.close()


def leaders(playground):
    found = playground.admin.get(playground.listing("pods", "/api/v1"))["items"]
    labelled = [one["metadata"] for one in found if LABEL in one["metadata"].get("labels", {})]
    return [one["name"] for one in labelled]


def test_the_pod_that_leads_carries_the_label(playground, label):
    label("tidegate-a").changed(True)
    eventually(lambda: leaders(playground) == ["tidegate-a"])


def test_the_label_moves_with_leadership(playground, label):
    a, b = label("tidegate-a"), label("tidegate-b")
    a.changed(True)
    eventually(lambda: leaders(playground) == ["tidegate-a"])
    a.changed(False)
    b.changed(True)
    eventually(lambda: leaders(playground) == ["tidegate-b"])


def test_a_killed_leader_loses_the_label_to_its_successor(playground, label):
    label("tidegate-a").changed(True)
    eventually(lambda: leaders(playground) == ["tidegate-a"])
    label("tidegate-b").changed(True)  # a cannot remove its own label any more
    eventually(lambda: leaders(playground) == ["tidegate-b"])


def test_a_restarted_container_does_not_carry_the_label_yet(playground, label):
    label("tidegate-a").changed(True)
    eventually(lambda: leaders(playground) == ["tidegate-a"])
    label("tidegate-a")
    eventually(lambda: leaders(playground) == [])


def test_a_label_that_could_not_be_written_is_written_later(ground, server):
    ground.put(ground.listing("pods", "/api/v1"), pod("tidegate-a"))
    server.faults.add(Fault("PATCH .*/pods/tidegate-a", times=6))
    label = LeaderLabel(ground.api, "prod", "tidegate-a", retry_s=0.05)
    label.start()
    label.changed(True)
    eventually(lambda: leaders(ground) == ["tidegate-a"])
    label.close()


def test_outside_a_pod_there_is_nothing_to_label(playground, label, caplog):
    label("laptop").changed(True)
    eventually(lambda: "there is no pod" in caplog.text)
    assert leaders(playground) == []


def test_the_service_of_the_limits_selects_the_label():
    services = yaml.safe_load_all((BASE / "service.yaml").read_text())
    (limits,) = [one for one in services if one["metadata"]["name"] == "tidegate-limits"]
    assert limits["spec"]["selector"][LABEL] == "true"

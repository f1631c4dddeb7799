"""`scaler restore`: restores all floors from the command line."""

from __future__ import annotations

import pytest

from scaler.cli import main
from scaler.hpa.floor_ownership import FINALIZER, LEFT_UNTIL, ORIGINAL
from tests.kube.conftest import Playground, connect, install_crd
from tests.kube.faults import Fault
from tests.kube.objects import hpa, policy

POLICIES = "/apis/tidegate.dev/v1alpha1"
HPAS = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"


@pytest.fixture
def ground(server, tmp_path):
    admin = connect(server, tmp_path, "admin")
    made = Playground(admin, admin, "prod", server)
    for name in ("shop", "web"):
        made.put(HPAS.format("prod"), hpa(name, least=8, annotations={ORIGINAL: "3"}), "tidegate")
        path = f"{HPAS.format('prod')}/{name}"
        config = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "annotations": {ORIGINAL: "3"}},
            "spec": {"minReplicas": 8},
        }
        admin.patch(path, config, "application/apply-patch+yaml", force="true")
    made.put(HPAS.format("prod"), hpa("other"))
    return made


def restore(tmp_path, *options):
    return main(["restore", "--kubeconfig", str(tmp_path / "admin.kubeconfig"), *options])


def floors(ground):
    return {name: ground.hpa(name)["spec"]["minReplicas"] for name in ("shop", "web", "other")}


def test_every_raised_floor_is_restored(ground, tmp_path, capsys):
    assert restore(tmp_path) == 0

    assert floors(ground) == {"shop": 3, "web": 3, "other": 3}
    assert ORIGINAL not in ground.hpa()["metadata"].get("annotations", {})
    assert capsys.readouterr().out == (
        "prod/shop: minReplicas 8 -> 3\nprod/web: minReplicas 8 -> 3\n"
    )


def test_a_second_run_reports_that_nothing_is_left(ground, tmp_path, capsys):
    restore(tmp_path)
    capsys.readouterr()

    assert restore(tmp_path) == 0
    assert capsys.readouterr().out == "no floor is raised by tidegate\n"


def test_a_dry_run_changes_nothing(ground, tmp_path, capsys):
    assert restore(tmp_path, "--dry-run", "--namespace", "prod") == 0

    assert floors(ground)["shop"] == 8
    assert "prod/shop: minReplicas 8 -> 3 (dry run)" in capsys.readouterr().out


def test_another_namespace_is_left_alone(ground, tmp_path, capsys):
    assert restore(tmp_path, "--namespace", "stage") == 0

    assert floors(ground)["shop"] == 8


def test_a_floor_that_cannot_be_restored_is_named_and_the_others_are_restored(
    ground, tmp_path, capsys
):
    ground.server.faults.add(Fault("PATCH .*shop", status=403, times=9))

    assert restore(tmp_path) == 2

    assert floors(ground) == {"shop": 8, "web": 3, "other": 3}
    assert "1 of 2 could not be put back:\n  prod/shop: " in capsys.readouterr().err


@pytest.fixture
def policed(ground):
    """A policy of each raised floor, with our finalizer."""
    install_crd(ground.admin)
    for name in ("shop", "web"):
        made = policy(name, mode="Enforce")
        made["metadata"]["finalizers"] = [FINALIZER]
        ground.put(ground.listing("demandpolicies", POLICIES), made)
    return ground


def finalizers(ground):
    return {name: ground.policy(name)["metadata"].get("finalizers") for name in ("shop", "web")}


def test_the_floor_of_one_service_is_restored_and_left_alone_for_a_while(policed, tmp_path, capsys):
    assert restore(tmp_path, "prod/shop") == 0

    assert floors(policed) == {"shop": 3, "web": 8, "other": 3}
    assert LEFT_UNTIL in policed.policy("shop")["metadata"]["annotations"]
    assert LEFT_UNTIL not in policed.policy("web")["metadata"].get("annotations", {})
    assert finalizers(policed)["shop"] == [FINALIZER]  # that is for who leads
    assert capsys.readouterr().out == (
        "prod/shop: left alone for 15m\nprod/shop: minReplicas 8 -> 3\n"
    )


def test_policies_are_released_with_their_floors(policed, tmp_path, capsys):
    assert restore(tmp_path, "--release", "--hold", "1h") == 0

    assert floors(policed) == {"shop": 3, "web": 3, "other": 3}
    assert not any(finalizers(policed).values())
    assert "prod/web: released" in capsys.readouterr().out


def test_a_policy_whose_floor_could_not_be_restored_is_not_released(policed, tmp_path):
    policed.server.faults.add(Fault("PATCH .*horizontalpodautoscalers/shop", status=403, times=9))

    assert restore(tmp_path, "--release") == 2

    assert finalizers(policed)["shop"] == [FINALIZER]
    assert not finalizers(policed)["web"]


def test_a_dry_run_of_a_release_changes_nothing(policed, tmp_path, capsys):
    assert restore(tmp_path, "--release", "--hold", "1h", "--dry-run") == 0

    assert floors(policed)["shop"] == 8
    assert finalizers(policed)["shop"] == [FINALIZER]
    assert "prod/shop: released (dry run)" in capsys.readouterr().out


def test_a_service_is_a_namespace_and_a_name(tmp_path, capsys):
    assert restore(tmp_path, "shop") == 2
    assert "must look like shop/checkout" in capsys.readouterr().err


def test_an_unreachable_cluster_is_reported(tmp_path, capsys):
    assert main(["restore", "--kubeconfig", str(tmp_path / "none")]) == 2

    assert "name a kubeconfig by --kubeconfig" in capsys.readouterr().err

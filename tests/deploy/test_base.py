"""The base: its parts fit together, and each is allowed no more than it needs."""

from __future__ import annotations

import re

import pytest

from forecaster.cli import COMMAND_LINE as FORECASTER
from scaler.adapters.http.access import OPEN_PATHS
from scaler.cli import COMMAND_LINE
from tests.deploy.manifests import (
    BASE,
    ROOT,
    Object,
    container_of,
    one,
    pod_templates,
    resources,
    settings,
    template_of,
)

KINDS = ("Deployment", "CronJob")
OBJECTS = resources(BASE)
LABELS = {
    "Deployment": {"app.kubernetes.io/name": "tidegate", "app.kubernetes.io/component": "scaler"},
    "CronJob": {"app.kubernetes.io/name": "tidegate", "app.kubernetes.io/component": "retrain"},
}
WORDS = {
    "NAMESPACE": "tidegate",
    **{name.upper().replace("-", "_"): value for name, value in settings(BASE).items()},
}


def arguments(kind: str) -> list[str]:
    """Return what the container is started with, as the kubelet fills it in."""
    container = container_of(OBJECTS, kind)
    given = {entry["name"] for entry in container["env"]}

    def filled(found: re.Match[str]) -> str:
        assert found[1] in given
        return WORDS[found[1]]

    return [re.sub(r"\$\((\w+)\)", filled, word) for word in container["args"]]


@pytest.mark.parametrize("kind", KINDS)
def test_pods_carry_the_labels_by_which_they_are_selected(kind):
    assert template_of(OBJECTS, kind)["metadata"]["labels"] == LABELS[kind]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param("Deployment", ("selector", "matchLabels"), id="its own pods"),
        pytest.param("Service", ("selector",), id="who is sent requests"),
        pytest.param("PodDisruptionBudget", ("selector", "matchLabels"), id="who is protected"),
        pytest.param("NetworkPolicy", ("podSelector", "matchLabels"), id="who is shielded"),
    ],
)
def test_what_selects_pods_selects_those_of_the_deployment(kind, path):
    found = one(OBJECTS, kind)["spec"]
    for key in path:
        found = found[key]
    assert found == LABELS["Deployment"]


def test_pods_that_retrain_are_shielded_too():
    shield = one(OBJECTS, "NetworkPolicy", "tidegate-retrain")["spec"]
    assert shield["podSelector"]["matchLabels"] == LABELS["CronJob"]
    assert "ingress" not in shield
    assert set(shield["policyTypes"]) == {"Ingress", "Egress"}


def test_the_service_the_probes_and_the_policy_mean_the_port_that_is_listened_on():
    container = container_of(OBJECTS, "Deployment")
    (port,) = container["ports"]
    assert f"--listen=0.0.0.0:{port['containerPort']}" in container["args"]
    (served,) = one(OBJECTS, "Service")["spec"]["ports"]
    (let_in,) = one(OBJECTS, "NetworkPolicy")["spec"]["ingress"]
    named = {container[probe]["httpGet"]["port"] for probe in container if probe.endswith("Probe")}
    assert {served["targetPort"], let_in["ports"][0]["port"], *named} == {port["name"]}


def test_probes_ask_where_no_token_is_needed():
    container = container_of(OBJECTS, "Deployment")
    asked = {container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
    assert asked == {"/healthz", "/readyz"} <= OPEN_PATHS


def test_only_gateways_and_prometheus_are_let_in():
    (let_in,) = one(OBJECTS, "NetworkPolicy")["spec"]["ingress"]
    labels = [peer["namespaceSelector"]["matchLabels"] for peer in let_in["from"]]
    assert labels == [{"tidegate.dev/gateways": "true"}, {"tidegate.dev/prometheus": "true"}]


@pytest.mark.parametrize("kind", KINDS)
def test_every_mount_has_its_volume_and_every_volume_its_mount(kind):
    spec = template_of(OBJECTS, kind)["spec"]
    mounts = {
        mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]
    }
    assert mounts == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("kind", KINDS)
def test_the_registry_is_the_volume_that_is_claimed(kind):
    spec = template_of(OBJECTS, kind)["spec"]
    (claim,) = (
        v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if v["name"] == "models"
    )
    assert one(OBJECTS, "PersistentVolumeClaim", claim)["spec"]["accessModes"] == ["ReadWriteMany"]
    (mount,) = (m for m in container_of(OBJECTS, kind)["volumeMounts"] if m["name"] == "models")
    assert mount["mountPath"] == settings(BASE)["models"]
    assert mount.get("readOnly", False) == (kind == "Deployment")  # who serves writes no model


def test_the_token_file_is_where_the_secret_is_mounted():
    (volume,) = (
        v for v in template_of(OBJECTS, "Deployment")["spec"]["volumes"] if v["name"] == "tokens"
    )
    (mount,) = (
        m for m in container_of(OBJECTS, "Deployment")["volumeMounts"] if m["name"] == "tokens"
    )
    (item,) = volume["secret"]["items"]  # the other keys are not for this pod
    assert settings(BASE)["access"] == f"--token-file={mount['mountPath']}/{item['path']}"


def test_settings_that_are_read_are_set_and_those_set_are_read():
    read = [
        entry["valueFrom"]["configMapKeyRef"]
        for _, template in pod_templates(OBJECTS)
        for entry in template["spec"]["containers"][0]["env"]
        if "configMapKeyRef" in entry["valueFrom"]
    ]
    assert {entry["name"] for entry in read} == {"tidegate-settings"}
    assert {entry["key"] for entry in read} == set(settings(BASE))


def test_scaler_run_understands_what_it_is_started_with():
    args = COMMAND_LINE.parser().parse_args(arguments("Deployment"))
    assert args.command == "run"
    assert args.leader_elect
    assert not args.policies  # those of the cluster
    assert str(args.token_file) == "/etc/tidegate/tokens/tokens"
    assert args.log_format == "json"


def test_forecaster_train_understands_what_it_is_started_with():
    assert container_of(OBJECTS, "CronJob")["command"] == ["forecaster"]
    args = FORECASTER.parser().parse_args(arguments("CronJob"))
    assert args.command == "train"
    assert args.promote == "gate"
    assert args.item_label == ["namespace", "service"]
    assert args.query == settings(BASE)["train-query"]


def test_whom_rights_are_given_is_who_runs():
    account = template_of(OBJECTS, "Deployment")["spec"]["serviceAccountName"]
    assert one(OBJECTS, "ServiceAccount", account)
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        binding = one(OBJECTS, kind)
        assert [subject["name"] for subject in binding["subjects"]] == [account]
        assert (
            binding["roleRef"]["name"]
            == one(OBJECTS, binding["roleRef"]["kind"])["metadata"]["name"]
        )


def test_who_retrains_has_no_token_of_the_cluster():
    spec = template_of(OBJECTS, "CronJob")["spec"]
    account = one(OBJECTS, "ServiceAccount", spec["serviceAccountName"])
    assert not spec["automountServiceAccountToken"]
    assert not account["automountServiceAccountToken"]
    bound = {s["name"] for o in OBJECTS for s in o.get("subjects", ())}
    assert account["metadata"]["name"] not in bound


@pytest.mark.parametrize("kind", KINDS)
def test_pods_run_under_the_restricted_standard_with_a_read_only_root(kind):
    """Kubernetes, Pod Security Standards: Restricted; the namespace enforces it."""
    spec, container = template_of(OBJECTS, kind)["spec"], container_of(OBJECTS, kind)
    pod, own = spec["securityContext"], container["securityContext"]
    assert pod["runAsNonRoot"]
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    labels = one(OBJECTS, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("kind", KINDS)
def test_pods_ask_for_what_they_need_and_are_held_to_it(kind):
    asked = container_of(OBJECTS, kind)["resources"]
    assert set(asked["requests"]) == set(asked["limits"]) == {"cpu", "memory"}


def test_one_replica_always_serves():
    spec = one(OBJECTS, "Deployment")["spec"]
    kept: Object = one(OBJECTS, "PodDisruptionBudget")["spec"]
    assert spec["replicas"] > kept["minAvailable"] >= 1
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 10  # it exits within 10 s


def test_nothing_of_the_base_enforces():
    """That is a policy's to say; the manifests bring none."""
    assert not [o for o in OBJECTS if o["kind"] == "DemandPolicy"]


def test_the_release_is_that_of_the_package():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    text = (BASE / "kustomization.yaml").read_text()
    assert f"newTag: {version[1]}\n" in text

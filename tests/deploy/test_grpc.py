"""What the component adds is where gRPC is looked for."""

from __future__ import annotations

from pathlib import Path

import yaml

from scaler.cli import COMMAND_LINE
from tests.deploy.manifests import BASE, GRPC, container_of, one, rendered


def test_grpc_is_served_by_the_services_that_there_are(tmp_path):
    def up_to(folder: Path) -> str:
        return str(Path(*[".."] * len(tmp_path.parts[1:])) / folder.relative_to("/"))

    whole = {"resources": [up_to(BASE)], "components": [up_to(GRPC)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    objects = rendered(tmp_path)
    container = container_of(objects, "Deployment")
    port = {"name": "grpc", "port": 8081, "targetPort": "grpc", "appProtocol": "grpc"}

    assert {"name": "grpc", "containerPort": 8081} in container["ports"]
    for name in ("tidegate", "tidegate-limits"):
        assert port in one(objects, "Service", name)["spec"]["ports"]
    policy = one(objects, "NetworkPolicy")["spec"]["ingress"][0]["ports"]
    assert {"protocol": "TCP", "port": "grpc"} in policy
    plain = [argument for argument in container["args"] if "$(ACCESS)" not in argument]
    assert COMMAND_LINE.parser().parse_args(plain).grpc_listen == "0.0.0.0:8081"

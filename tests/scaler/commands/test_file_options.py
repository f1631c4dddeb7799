"""Every command that reads a history from a file takes the same options for it, the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecaster.cli import main as forecaster
from scaler.cli import main as scaler
from tests.paths import ROOT

POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: shop, name: api}
spec:
  capacity: {requestsPerReplica: 10}
  replicas: {min: 2, max: 60}
"""
HEAD = "time;host;route;hits;requests"
ROWS = [f"03/04/2026 0{i // 60}:{i % 60:02};a;shop/api;1,{i:03};0" for i in range(100)]
# The file needs each of them, and a command asks for them in this order.
OPTIONS = [
    ("--item-column", "route"),
    ("--value-column", "hits"),
    ("--dates", "day-first"),
    ("--decimal", "."),
    ("--timezone", "UTC"),
    ("--unit", "count"),
]
MODEL = ["--models", str(ROOT / "models"), "--name", "pretrained"]


def run(command: str, path: Path, *options: str) -> int:
    policy = str(path.with_name("policy.yaml"))
    main, more = {
        "check": (forecaster, []),
        "train": (forecaster, ["--out", str(path.parent / "new"), "--name", "web"]),
        "evaluate": (forecaster, MODEL),
        "predict": (forecaster, MODEL),
        "replay": (scaler, ["--policy", policy, *MODEL[:2], "--model", "pretrained"]),
        "demo": (scaler, ["--policies", policy, *MODEL[:2], "--model", "pretrained", "--once"]),
    }[command]
    return main([command, "--history", str(path), *more, *options])


@pytest.fixture
def path(tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "h.csv").write_text("\n".join([HEAD, *ROWS]))
    return tmp_path / "h.csv"


@pytest.mark.parametrize("command", ["check", "train", "evaluate", "predict", "replay", "demo"])
def test_a_command_asks_for_each_option_that_a_file_needs(path, capsys, command):
    given: list[str] = []
    for name, value in OPTIONS:
        assert run(command, path, *given) == 2
        told = capsys.readouterr().err
        assert name in told, (given, told)
        given += [name, value]
    run(command, path, *given)
    told = capsys.readouterr().err
    assert not any(f"{name} " in told for name, _ in OPTIONS), told

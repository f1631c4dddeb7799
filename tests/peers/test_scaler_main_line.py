"""From a real Prometheus to a decision and a limit, as an operator and a gateway would see it."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scaler.commands import run
from tests.peers.traffic import END
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.prometheus

POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {{namespace: prod, name: {name}}}
spec:
  demand: {{query: '{query}'}}
  capacity: {{requestsPerReplica: 50}}
  replicas: {{min: 2, max: 40}}
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    queries = {
        "shop": 'sum(demand_qps{service="shop"})',
        "both": "http_requests_total",  # one series per pod
        "none": "no_such_metric",
    }
    for name, query in queries.items():
        (folder / f"{name}.yaml").write_text(POLICY.format(name=name, query=query))
    return folder


def test_once_decides_on_what_prometheus_says_and_names_what_it_cannot(
    real_prometheus: str, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    args = parser.parse_args(
        ["--prometheus", real_prometheus, "--policies", str(policies), "--no-cluster", "--once"]
    )
    now = END.timestamp() - 60  # the last sample of the history
    assert run.run(args, clock=lambda: now) == 0
    told = " ".join(capsys.readouterr().out.split())
    # The last minute's demand is between 200 and 400 QPS: 5 to 10 replicas of 40 QPS.
    assert "prod/shop" in told
    assert "Recommend" in told
    assert "reactive" in told
    assert "prod/both: QueryFailed: the query 'http_requests_total' returns 2 series" in told
    assert "prod/none: QueryFailed: the query 'no_such_metric' returns 0 series" in told


@contextmanager
def serving(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `scaler run` as a process; yield the endpoint's URL."""
    command = [sys.executable, "-m", "scaler.cli", "run", "--listen", "127.0.0.1:0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(url: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def answered(url: str) -> str:
    """Return the body once it is there: after a start, gateways say first what they hold."""
    answers: list[str] = []

    def is_there() -> bool:
        status, body = ask(url)
        answers.append(body)
        return status == 200

    eventually(is_there)
    return answers[-1]


def test_a_gateway_pulls_its_limit_and_a_stop_is_in_peace(
    real_prometheus: str, policies: Path
) -> None:
    up = POLICY.format(name="up", query="vector(20)") + "  mode: Enforce\n"
    (policies / "up.yaml").write_text(up)
    counted = up.replace("50}", "50, replicasQuery: vector(9)}").replace("up}", "counted}")
    (policies / "counted.yaml").write_text(counted)
    files = "--prometheus", real_prometheus, "--policies", str(policies), "--no-cluster"
    with serving(*files, "--tick", "1s", "--timeout", "5s") as (url, process):
        answered(f"{url}/readyz")
        status, body = ask(f"{url}/v1/limits/prod/shop?instance=gw-1")
        # Nothing is known of now, for the history ended long ago.
        assert status == 503
        assert "no limit is known before its demand was observed once" in body
        lease = json.loads(answered(f"{url}/v1/limits/prod/up?instance=gw-1"))
        assert lease["service"] == "prod/up"
        assert lease["mode"] == "recommend"  # nobody counts its replicas
        assert lease["global"]["rps"] == 100.0  # 2 x 50
        lease = json.loads(answered(f"{url}/v1/limits/prod/counted?instance=gw-1"))
        assert lease["mode"] == "enforce"
        assert lease["global"]["rps"] == 450.0  # 9 x 50
        assert lease["why"]["ready_replicas"] == 9
        assert ask(f"{url}/v1/limits/prod/shopp?instance=gw-1")[0] == 404
        metrics = ask(f"{url}/metrics")[1]
        assert "tidegate_tick_duration_seconds" in metrics
        assert 'tidegate_api_errors_total{api="prometheus",reason="QueryFailed"}' in metrics
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 0


def test_an_endpoint_for_everybody_has_to_be_asked_for(
    real_prometheus: str, policies: Path
) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "scaler.cli", "run", "--prometheus", real_prometheus,
            "--policies", str(policies), "--no-cluster", "--listen", "0.0.0.0:0",
        ],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "neither a token file nor a client CA" in done.stderr

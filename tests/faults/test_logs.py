"""What others say reaches the log of a running scaler, but never as a record of its own."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.forecaster.adapters.prometheus.server import PrometheusServer, failure, serving
from tests.paths import ROOT
from tests.waiting import PATIENCE_S, eventually

FORGED = "2026-11-30 12:00:00,000 CRITICAL scaler.control all is lost"
HOSTILE = f"parse error\n{FORGED}\r\x1b[2J\x9b31m\u2028{FORGED}\u202e"
POLICY = r"""
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: shop, name: checkout}
spec:
  demand: {query: "sum(rate(x[1m])) # \e[2J\r\n2026-11-30 CRITICAL", model: pretrained}
  capacity: {requestsPerReplica: 55}
  replicas: {min: 2, max: 60}
"""
WRONG = POLICY.replace("checkout", r'"cart\n2026-11-30 CRITICAL \e[2J"').replace("min: 2", "min: x")
REQUEST = (
    b"POST /v1/limits/%0a%1b[2J/x/reports?x=%0aERROR HTTP/1.1\r\nHost: localhost\r\n"
    b"User-Agent: \x1b[2J\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n"
    b'{"instance": "\\n\\u001b[2J a"}'
)
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ \S+ ")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_text_from_elsewhere_becomes_a_record_or_moves_the_cursor(tmp_path, form):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/right.yaml").write_text(POLICY)
    log = tmp_path / "log"
    scripted = PrometheusServer(script=[failure(422, "bad_data", HOSTILE)] * 1000)
    with serving(scripted) as prometheus, log.open("w") as said:
        command = [
            *(sys.executable, "-m", "scaler.cli", "run", "--prometheus", prometheus.url),
            *("--policies", str(tmp_path / "policies"), "--no-cluster", "--tick", "1s"),
            *("--models", str(ROOT / "models"), "--listen", "127.0.0.1:0", "--log-format", form),
        ]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True
        ) as running:
            try:
                assert running.stdout is not None
                port = urlsplit(running.stdout.readline().split()[-1]).port
                for request in (REQUEST, b"\x1b[2J\nGET / HTTP/1.1\r\n\r\n"):
                    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as raw:
                        raw.sendall(request)
                        assert raw.recv(100).startswith(b"HTTP/1.1 4")
                eventually(lambda: "parse error" in log.read_text())
                (tmp_path / "policies/wrong.yaml").write_text(WRONG)
                eventually(lambda: "wrong.yaml" in log.read_text())
            finally:
                running.terminate()
    lines = _lines(log)
    if form == "json":
        assert all(json.loads(line) for line in lines)
    else:
        assert all(RECORD.match(line) or line.startswith("  | ") for line in lines)
        assert not [line for line in lines if line.startswith(FORGED)]
    assert all(line.isprintable() for line in lines)


def _lines(log: Path) -> list[str]:
    return log.read_bytes().decode().removesuffix("\n").split("\n")

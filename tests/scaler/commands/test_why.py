"""`scaler why` as its user meets it: an endpoint tells of now, a journal of the past."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from scaler.cli import main
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.paths import ROOT
from tests.scaler.adapters.http.conftest import served
from tests.waiting import PATIENCE_S, eventually

POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: shop, name: checkout}
spec:
  demand: {query: 'sum(x)'}
  capacity: {requestsPerReplica: 55}
  replicas: {min: 2, max: 60}
"""

SENTENCES = (
    "Be ready for 976 requests per second: the forecast of the highest demand over the lead time.",
    "One replica sustains 155.0 requests per second (given; between 155.0 and 155.0).",
    "The plan is 8 replicas: the demand needs that many.",
    "The floor that stands is 8 replicas.",
    "Gateways may admit 1240 requests per second: the ready replicas sustain that much (8 ready).",
    "After their leases have expired they admit 1240.",
    "A plain autoscaler would have 9 replicas now.",
    "The forecast is trusted: it covered the demand in 95.0% of the lead times.",
    "Ready is True: all is well",
)


@pytest.fixture(scope="module")
def endpoint():
    with served() as running:
        yield running


def why(capsys, *options: str) -> tuple[int, str, str]:
    code = main(["why", *options])
    return code, *capsys.readouterr()


def test_each_step_of_the_decision_is_a_sentence(endpoint, capsys):
    code, out, _ = why(capsys, "prod/shop", "--endpoint", endpoint.server.url)
    assert code == 0
    first, _, said = out.partition("\n")
    assert first == "prod/shop, decided 0s ago"
    assert " ".join(said.split()) == " ".join(SENTENCES)
    assert max(map(len, out.splitlines())) <= 80


def test_a_document_is_what_the_endpoint_explains(endpoint, capsys):
    _, out, _ = why(capsys, "shop", "-n", "prod", "--endpoint", endpoint.server.url, "-o", "json")
    assert json.loads(out) == endpoint.client.get("/v1/explain/prod/shop").json()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["shop"], "must look like shop/checkout, or stand with -n", id="no namespace"),
        pytest.param(["/shop"], "must look like shop/checkout", id="an empty one"),
        pytest.param(["prod/shop", "-n", "pay"], "which is not in -n pay", id="two namespaces"),
        pytest.param(["prod/shup"], "404 no service 'prod/shup'; there is prod/shop", id="none"),
        pytest.param(["prod/shop", "--at", "-1h"], "--at needs --journal", id="the past"),
        pytest.param(["prod/shop", "--journal", "x"], "exclude each other", id="two sources"),
    ],
)
def test_what_cannot_be_answered_is_refused(endpoint, capsys, options, words):
    code, out, err = why(capsys, *options, "--endpoint", endpoint.server.url)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize("at", ["25:61", "yesterday", "2026-13-45", "2026-03-02T09:00:00"])
def test_a_moment_that_is_none_is_refused_before_the_journal_is_read(tmp_path, capsys, at):
    code, _, err = why(capsys, "shop/a", "--journal", str(tmp_path / "none"), "--at", at)
    assert code == 2
    assert err.startswith(f"scaler why: --at is '{at}', ")


@pytest.fixture
def journal(recorded):
    return str(recorded)


def test_a_journal_tells_why_at_a_time_as_the_replay_does(journal, capsys):
    code, out, _ = why(capsys, "prod/plain", "--journal", journal, "--at", "09:08")
    replayed = main(["replay", "--journal", journal, "--service", "prod/plain", "--at", "09:08"])
    assert code == replayed == 0
    assert out == capsys.readouterr().out
    assert "The plan is" in out


def test_without_a_time_a_journal_tells_of_its_end(journal, capsys):
    code, out, _ = why(capsys, "plain", "-n", "prod", "--journal", journal)
    assert code == 0
    assert out.startswith("Tick 60, ")


def test_a_journal_as_a_document(journal, capsys):
    options = ("prod/plain", "--journal", journal, "-o", "json")
    # Gateways ask now and then: the first minute in which one did.
    for minute in range(1, 15):
        _, out, _ = why(capsys, *options, "--at", f"09:{minute:02}")
        found = json.loads(out)
        if found["leases"]:
            break
    assert [one["service"] for one in found["decided"]["services"]] == ["prod/plain"]
    (reasons,) = found["decided"]["reasons"]
    assert any(sentence.startswith("The plan is ") for sentence in reasons["words"])
    assert {one["service"] for one in found["leases"]} == {"prod/plain"}
    assert found["differences"] == []


def test_a_running_scaler_is_asked_for_what_it_decides_and_why(tmp_path, capsys):
    (tmp_path / "policy.yaml").write_text(POLICY)
    series = {"sum(x)": [FakeSeries({}, lambda _: "100")]}
    with serving(PrometheusServer(series)) as prometheus:
        command = [
            *(sys.executable, "-m", "scaler", "run", "-q", "--no-cluster", "--tick", "1s"),
            *("--policies", str(tmp_path / "policy.yaml"), "--prometheus", prometheus.url),
            *("--models", str(tmp_path / "none"), "--listen", "127.0.0.1:0"),
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            here = "--endpoint", url
            eventually(lambda: main(["why", "shop/checkout", "-q", *here]) == 0)
            capsys.readouterr()
            assert main(["get", "policies", *here]) == 0
            shown = capsys.readouterr().out.splitlines()
            assert main(["why", "shop/checkout", *here]) == 0
            told = " ".join(capsys.readouterr().out.split())
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE_S) == 0
    assert shown[1].split()[:5] == ["shop", "checkout", "Recommend", "3", "3"]
    assert "One replica sustains 55.0 requests per second (given;" in told
    assert "The plan is 3 replicas: the demand needs that many." in told

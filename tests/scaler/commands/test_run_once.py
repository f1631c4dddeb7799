"""`scaler run --once`: one decision as a table or a document, and what is refused beforehand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from scaler.cli import main
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.paths import ROOT

QUERY = "sum(rate(http_requests_total[1m]))"
LONG = "a-rather-long-namespace/a-service-whose-name-is-long-too"
POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  demand: {{query: '{query}'}}
  capacity: {{requestsPerReplica: 55}}
  replicas: {{min: 2, max: 60}}
"""


@pytest.fixture
def prometheus() -> Iterator[PrometheusServer]:
    with serving(PrometheusServer({QUERY: [FakeSeries({}, lambda _: "100")]})) as server:
        yield server


@pytest.fixture
def once(tmp_path, prometheus, capsys):
    """Decide once on policies; return exit code, stdout and stderr."""

    def run(*options: str, url: str = prometheus.url, **queries: str) -> tuple[int, str, str]:
        documents = []
        for item, query in (queries or {"shop/checkout": QUERY}).items():
            namespace, name = item.split("/")
            documents.append(POLICY.format(namespace=namespace, name=name, query=query))
        (tmp_path / "policies.yaml").write_text("---".join(documents))
        files = ["--policies", str(tmp_path / "policies.yaml"), "--models", str(tmp_path / "none")]
        # A tick of what the server has a minute of.
        where = ["--prometheus", url, "--retries", "0", "--timeout", "60s"]
        code = main(["run", "--once", "--no-cluster", *files, *where, *options])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_a_table_fits_into_80_columns(once):
    code, out, _ = once()
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.rstrip() for line in lines[:5]] == [
        "service,                  demand,   plan,",
        "mode           observed       why     why  floor  limit  trust",
        "──────────────────────────────────────────────────────────────",
        "shop/checkout       100       100       3      3    110  none",
        "Recommend                reactive  wanted",
    ]


def test_a_long_name_is_whole(once):
    _, out, _ = once(**{LONG: QUERY})
    assert any(line.startswith(f"{LONG}  ") for line in out.splitlines())


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_document_holds_the_decisions_and_their_reasons(once, form, read):
    code, out, _ = once("-o", form)
    found = read(out)
    assert code == 0
    assert [one["service"] for one in found["services"]] == ["shop/checkout"]
    assert found["services"][0]["observed_qps"] == 100.0
    assert "Be ready for" in found["reasons"][0]["words"][0]


def test_before_anything_is_trained_the_model_that_ships_forecasts(tmp_path, prometheus, capsys):
    text = POLICY.format(namespace="shop", name="checkout", query=QUERY)
    path = tmp_path / "policy.yaml"
    path.write_text(text.replace("demand: {", "demand: {model: web, "))
    where = ["--policies", str(path), "--models", str(tmp_path / "none"), "-o", "json"]
    server = ["--prometheus", prometheus.url, "--retries", "0", "--timeout", "60s"]
    assert main(["run", "--once", "--no-cluster", *where, *server]) == 0
    (why,) = json.loads(capsys.readouterr().out)["reasons"]
    assert why["values"]["demand"] == "forecast"


def test_with_prometheus_down_it_exits_with_2(once):
    code, out, err = once(url="http://127.0.0.1:1")
    assert code == 2
    assert "shop/checkout" in out
    assert "scaler run: the demand of no service could be measured: http://127.0.0.1:1" in err


def test_a_query_that_fails_beside_one_that_does_not_is_told(once):
    code, out, _ = once(**{"shop/checkout": QUERY, "shop/broken": "no_such_metric"})
    assert code == 0
    assert "shop/broken: QueryFailed" in out


def test_under_quiet_there_is_the_result_and_the_error(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.format(namespace="shop", name="checkout", query=QUERY))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scaler", "run", "--once", "--no-cluster", "-q"),
            *("--policies", str(policy), "--prometheus", "http://127.0.0.1:1", "--retries", "0"),
        ],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout.startswith("service,")
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["scaler run"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--no-cluster"], "--no-cluster needs --policies", id="no policies"),
        pytest.param(
            ["--no-cluster", "--policies", "{here}", "--kubeconfig", "{here}", "--leader-elect"],
            "--no-cluster and --kubeconfig, --leader-elect exclude each other",
            id="no cluster, and one",
        ),
        pytest.param(["--policies", "no.yaml"], "--policies is no.yaml, which does not", id="file"),
        pytest.param(["--token-file", "no"], "--token-file is no, which", id="token"),
        pytest.param(
            ["--token-file", "{here}", "--allow-anonymous"], "exclude each other", id="access"
        ),
        pytest.param(["--ca-file", "no.pem"], "--ca-file is no.pem, which does", id="its CA"),
        pytest.param(["--tls-cert", "{here}"], "belong together", id="half of TLS"),
        pytest.param(["--client-ca", "{here}"], "needs --tls-cert and --tls-key", id="no TLS"),
        pytest.param(["--listen", "nowhere"], "--listen is 'nowhere'", id="no address"),
        pytest.param(["--grpc-listen", "x"], "--grpc-listen is 'x'", id="no address of gRPC"),
        pytest.param(["--tick", "soon"], "--tick is 'soon'", id="no duration"),
        pytest.param(["--lease-duration", "1"], "--lease-duration is '1'", id="no unit"),
    ],
)
def test_what_is_wrong_with_the_options_is_told_before_anything_is_loaded(tmp_path, options, words):
    """Nothing of what takes seconds to load is loaded, and nothing is contacted."""
    argv = [one.format(here=tmp_path) for one in options]
    code = (
        "import sys; from scaler.cli import main\n"
        f"code = main(['run', '--prometheus', 'http://127.0.0.1:1', *{argv}])\n"
        "heavy = {'fastapi', 'numpy', 'kubernetes', 'pydantic', 'requests'} & set(sys.modules)\n"
        "print(code, heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "2 set()\n"
    assert words in done.stderr

"""What a running scaler has loaded: what trains, draws and reads tables stays out of its memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.paths import ROOT
from tests.test_packaging import loaded_after

HEAVY = {"matplotlib", "pandas", "plotly", "pyarrow", "sklearn", "torch"}
QUERY = "sum(rate(http_requests_total[1m]))"
POLICY = f"""
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {{namespace: shop, name: checkout}}
spec:
  demand: {{query: '{QUERY}', model: pretrained}}
  capacity: {{requestsPerReplica: 55}}
  replicas: {{min: 2, max: 60}}
"""
ENDPOINT = """
import contextlib, sys, urllib.request
from scaler.adapters.http.server import Address
from scaler.adapters.http.settings import ApiSettings
from scaler.commands.endpoint import serve
with contextlib.ExitStack() as stack:
    said = contextlib.redirect_stdout(stack.enter_context(open({log!r}, "w")))
    with said:
        serve("127.0.0.1:0", stack)
    url = open({log!r}).read().split()[-1]
    assert "plotly" not in sys.modules
    for path in {paths}:
        urllib.request.urlopen(url + path).read()
"""


def demand(stamp: int) -> str:
    return f"{100 + 50 * math.sin(2 * math.pi * stamp / 86400):.3f}"


@pytest.fixture
def prometheus() -> Iterator[PrometheusServer]:
    with serving(PrometheusServer({QUERY: [FakeSeries({}, demand)]})) as server:
        yield server


def test_a_tick_with_a_forecast_loads_neither_torch_nor_tables_nor_figures(prometheus, tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    options = [
        *("run", "--once", "--no-cluster", "--policies", str(tmp_path / "policy.yaml")),
        *("--prometheus", prometheus.url, "--models", str(ROOT / "models")),
    ]
    code = (
        "import contextlib, io, os; from scaler.cli import main\n"
        "os.environ['COLUMNS'] = '200'\n"
        "said = io.StringIO()\n"
        f"with contextlib.redirect_stdout(said): code = main({options})\n"
        "assert code == 0 and 'trusted' in said.getvalue(), said.getvalue()"
    )
    loaded = loaded_after(code)
    assert {"numpy", "safetensors", "scipy"} <= loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        pytest.param(["/healthz", "/metrics"], set(), id="gateways and probes"),
        pytest.param(["/"], {"plotly"}, id="whoever looks at the page"),
    ],
)
def test_the_endpoint_loads_what_draws_for_the_page_alone(tmp_path, paths, expected):
    loaded = loaded_after(ENDPOINT.format(log=str(tmp_path / "log"), paths=paths))
    assert loaded & HEAVY == expected

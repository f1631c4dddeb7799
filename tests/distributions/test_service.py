"""`scaler run` without what only training, files and plots need, as in the image of the service."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.paths import ROOT

QUERY = "sum(rate(http_requests_total[1m]))"
POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {{namespace: shop, name: checkout}}
spec:
  demand: {{query: '{query}', model: web}}
  capacity: {{requestsPerReplica: 55}}
  replicas: {{min: 2, max: 60}}
  objective: {{violations: 0.1%}}
"""
# The names by which what is left out is imported.
LEFT_OUT = {"torch", "pandas", "pyarrow", "plotly", "sklearn"}
WITHOUT = f"""
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LEFT_OUT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusServer]:
    with serving(PrometheusServer({QUERY: [FakeSeries({}, lambda at: str(100 + at % 7))]})) as one:
        yield one


def ended(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_is_left_out_is_what_is_blocked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    left = set(project["project"]["dependencies"]) - set(project["dependency-groups"]["service"])
    names = {"scikit-learn": "sklearn"}
    assert {names.get(one, one) for one in (one.partition(">")[0] for one in left)} == LEFT_OUT


def test_it_forecasts_and_decides(prometheus, tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY.format(query=QUERY))
    words = ["run", "--once", "--no-cluster", "--policies", str(tmp_path / "policy.yaml")]
    words += ["--models", str(tmp_path / "none"), "--prometheus", prometheus.url]
    done = ended(f"from scaler.cli import main; sys.exit(main({words!r}))")
    assert done.returncode == 0, done.stderr
    assert "forecast" in done.stdout


def test_a_review_and_the_model_that_ships_load_without():
    done = ended(
        "import scaler.commands.review_process, scaler.simulation.tuning\n"
        "from scaler.adapters.shipped_model import shipped_model; shipped_model()"
    )
    assert done.returncode == 0, done.stderr


def test_capacity_that_cannot_be_learned_is_told_with_the_fix():
    done = ended(
        """

from datetime import timedelta
from scaler.control.capacity_tracker import CapacityTracker
from scaler.decision.replicas import ScalePolicy
from scaler.policy.policy import Policy, Slo
tracker = CapacityTracker(None, None, timedelta(minutes=1))
policy = Policy(
    item_id="shop/checkout", target="checkout", scale=ScalePolicy(), capacity_qps=None,
    slo=Slo(query="p99"),
)
for minute in range(100):
    tracker.add(policy.item_id, 10.0, 0.1, 60.0 * minute)
tracker.learn([policy], 6000.0)
print(tracker.of(policy))
"""
    )
    assert "sklearn is not installed here, so no capacity is learned" in done.stdout, done.stderr

"""`scaler tune`: settings by a recorded past, what is kept of the policy, and what is refused."""

from __future__ import annotations

import json

import pytest
import yaml

from forecaster.adapters.tables.history_files import write_history
from forecaster.data.series import History
from scaler.cli import main
from tests.scaler.simulation.test_review import past

POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: shop, name: checkout}
spec:
  demand: {risk: 0.3}
  capacity: {requestsPerReplica: 10}
  replicas: {min: 2, max: 60}
  simulation: {tick: 10m}
"""
ASKED = POLICY + "  objective: {violations: 2%}\n"
STATED = ASKED.replace("max: 60", "max: 60, stabilization: 5m")


@pytest.fixture
def tuned(tmp_path, capsys):
    """Run the command on a wave and a policy; return exit code, stdout and stderr."""

    def run(*options, policy=ASKED, days=5):
        write_history(tmp_path / "history.parquet", History((past(days),)), ())
        (tmp_path / "policy.yaml").write_text(policy)
        files = "--history", str(tmp_path / "history.parquet")
        code = main(["tune", *files, "--policy", str(tmp_path / "policy.yaml"), *options])
        shown = capsys.readouterr()
        return code, shown.out, " ".join(shown.err.split())

    return run


def test_it_prints_what_settings_would_have_come_to_and_writes_a_page_and_a_record(tuned, tmp_path):
    page, figures = tmp_path / "tune.html", tmp_path / "tune.json"
    code, out, err = tuned("--report", str(page), "--json", str(figures))
    assert code == 0
    assert "Holt-Winters forecasts" in err
    found = json.loads(figures.read_text())
    assert found["objective"] == {"violations": 0.02, "price": None}
    for name in ("self-chosen, night by night", "the policy's settings", "your HPA alone"):
        assert name in out
        assert name in page.read_text()
        assert found["compared"][name]["days"] == 3
    chosen = found["chosen"]
    assert chosen["target_utilization"] > 0.8
    assert "From now on: risk" in out


def test_what_the_policy_states_is_kept_but_where_a_suggestion_is_asked_for(tuned, tmp_path):
    figures = tmp_path / "tune.json"
    assert tuned("--json", str(figures), policy=STATED)[0] == 0
    kept = json.loads(figures.read_text())
    assert (kept["chosen"]["risk"], kept["chosen"]["stabilization_s"]) == (0.3, 300.0)
    code, out, _ = tuned("--suggest", policy=STATED)
    assert code == 0
    suggested = yaml.safe_load(out[out.index("spec:") :])["spec"]
    assert suggested["replicas"] == {"stabilization": "60s"}
    assert 0 < suggested["demand"]["risk"] < 1


def test_an_objective_that_nothing_reaches_is_told_with_what_is_reachable(tuned):
    code, out, _ = tuned(policy=ASKED.replace("2%", "0.000001%"))
    assert code == 1
    words = " ".join(out.split())
    assert "No settings kept the objective, within the " in words
    assert "broke the least" in words
    assert "replica-hours and" in words


@pytest.mark.parametrize(
    ("policy", "days", "why"),
    [
        pytest.param(ASKED, 3, "but 3 are needed to choose by", id="too short a past"),
        pytest.param(
            STATED.replace("Replica: 10", "Replica: 10, targetUtilization: 0.5"),
            5,
            "spec.objective: must not be given beside demand.risk, capacity.targetUtilization and "
            "replicas.stabilization, which leave nothing to choose",
            id="nothing is left to choose",
        ),
        pytest.param(
            ASKED.replace("2%", "2%, price: {failedRequest: 3}"),
            5,
            "spec.objective.price: must not be given beside violations",
            id="two objectives",
        ),
        pytest.param(
            ASKED.replace("2%", "0.02"), 5, "above 0% and below 100%", id="a share without a sign"
        ),
        pytest.param(
            ASKED.replace("capacity: {requestsPerReplica: 10}", "slo: {query: up}"),
            5,
            "spec.capacity.requestsPerReplica is not given",
            id="no capacity",
        ),
    ],
)
def test_what_cannot_be_chosen_by_is_refused_with_the_rule_and_the_fix(tuned, policy, days, why):
    code, out, err = tuned(policy=policy, days=days)
    assert code == 2
    assert not out
    assert why in err


def test_a_missing_file_is_named(capsys):
    assert main(["tune", "--history", "none.csv"]) == 2
    assert "--policy must be given" in capsys.readouterr().err

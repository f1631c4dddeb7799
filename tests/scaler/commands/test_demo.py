"""`scaler demo`: the loop itself over one recorded day, and what it refuses."""

from datetime import timedelta

import pytest

from forecaster.adapters.tables.history_files import write_history
from forecaster.data.synthetic import generate_history
from scaler.cli import main
from scaler.commands import demo as demo_command

POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: NAMESPACE, name: NAME}
spec:
  capacity: {requestsPerReplica: 10, targetUtilization: 0.9}
  replicas: {min: 2, max: 60}
"""


def demo(tmp_path, history, models, *options, item=None, policy=POLICY):
    write_history(tmp_path / "history.parquet", history, ())
    namespace, name = (item or history.item_ids[0]).split("/")
    text = policy.replace("NAMESPACE", namespace).replace("NAME", name)
    (tmp_path / "policy.yaml").write_text(text)
    return main(
        [
            "demo", "--history", str(tmp_path / "history.parquet"), "--models", str(models),
            "--model", "web", "--policies", str(tmp_path / "policy.yaml"), *options,
        ]
    )  # fmt: skip


@pytest.mark.parametrize("hours", [1, pytest.param(24, marks=pytest.mark.nightly)])
def test_a_simulated_day_ends_with_a_table(tmp_path, history, models, capsys, monkeypatch, hours):
    monkeypatch.setattr(demo_command, "DAY", timedelta(hours=hours))
    assert demo(tmp_path, history, models, "--once") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert history.item_ids[0] in told
    assert "replica-hours" in told


@pytest.mark.parametrize(
    ("options", "changes", "told"),
    [
        pytest.param(("--speed", "0"), {}, "--speed is 0.0, but must be above 0", id="speed"),
        pytest.param(
            ("--once",),
            {"item": "shop/nowhere"},
            "the history holds no item 'shop/nowhere'",
            id="item",
        ),
        pytest.param(("--listen", "nowhere"), {}, "--listen is 'nowhere'", id="address"),
    ],
)
def test_what_cannot_be_shown_is_named(tmp_path, models, capsys, options, changes, told):
    history = generate_history(1, 3, step=timedelta(minutes=5), seed=1).history
    assert demo(tmp_path, history, models, *options, **changes) == 2
    assert told in capsys.readouterr().err

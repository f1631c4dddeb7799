"""The whole line against a real Prometheus: train, evaluate and predict without a file between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forecaster.cli import main
from tests.peers.traffic import END, START

pytestmark = pytest.mark.prometheus


SHOP, BOTH = 'demand_qps{service="shop"}', "demand_qps"


def run(command: str, url: str, folder: Path, metric: str, *more: str) -> int:
    return main(
        [
            *(command, "--prometheus", url, "--cache-dir", str(folder / "cache"), *more),
            *("--query", f"sum by (namespace, service) ({metric})", "--name", "web"),
            *("--start", START.isoformat(), "--end", END.isoformat(), "--step", "5m"),
            *("--item-label", "namespace", "--item-label", "service"),
        ]
    )


def test_train_evaluate_and_predict_from_a_real_prometheus(
    real_prometheus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = str(tmp_path / "models")
    fitted = run(
        "train", real_prometheus, tmp_path, SHOP,
        *("--out", models, "--time-budget", "2s", "--members", "1", "--promote", "always"),
    )  # fmt: skip
    assert fitted == 0
    assert "web v0001 is champion" in capsys.readouterr().out

    report = tmp_path / "report.json"
    assert (
        run("evaluate", real_prometheus, tmp_path, SHOP, "--models", models, "--json", str(report))
        == 0
    )
    items = json.loads(report.read_text())["items"]
    assert set(items) == {"prod/shop"}

    # The other service was away for days: too little to fit on, enough to be forecast.
    out = tmp_path / "next.csv"
    assert (
        run("predict", real_prometheus, tmp_path, BOTH, "--models", models, "--out", str(out)) == 0
    )
    header, *rows = out.read_text().splitlines()
    assert header == "item_id,timestamp,q0.1,q0.5,q0.9,q0.95,q0.99,q0.999,source"
    assert len(rows) == 2 * 30

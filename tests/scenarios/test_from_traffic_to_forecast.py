"""The whole line as an operator types it: generate, train, list, evaluate, predict, roll back."""

import json

import pandas as pd

from forecaster.cli import main


def run(*argv: object) -> int:
    return main([str(word) for word in argv])


def test_an_operator_gets_from_traffic_to_a_champion_and_its_forecast(tmp_path, capsys):
    history, models = tmp_path / "history.parquet", tmp_path / "models"
    assert run("generate", "--items", 2, "--days", 9, "--step", "5m", "--out", history) == 0
    train = [
        *("train", "--history", history, "--out", models, "--name", "demo", "--members", 1),
        *("--prediction-length", 6, "--context-length", 6, "--time-budget", "1s"),
    ]
    assert run(*train, "--promote", "always") == 0
    assert run(*train, "--promote", "always", "--seed", 1) == 0
    assert "demo v0002 is champion" in capsys.readouterr().out

    assert run("models", "list", "--models", models) == 0
    assert "v0002" in capsys.readouterr().out

    place = ("--models", models, "--name", "demo", "--history", history)
    figures, page = tmp_path / "figures.json", tmp_path / "report.html"
    assert run("evaluate", *place, "--json", figures, "--report", page) == 0
    headline = json.loads(figures.read_text())["summary"]["relative_pinball"]
    stored = json.loads((models / "demo" / "v0002" / "report.json").read_text())
    assert headline == stored["summary"]["relative_pinball"]  # the same figures as at training
    assert page.stat().st_size > 10_000

    forecast = tmp_path / "forecast.csv"
    assert run("predict", *place, "--out", forecast) == 0
    assert len(pd.read_csv(forecast)) == 2 * 6  # items x steps

    assert run("models", "rollback", "demo", "--models", models) == 0
    assert run("predict", *place, "--out", tmp_path / "before.csv") == 0
    assert not pd.read_csv(forecast).equals(pd.read_csv(tmp_path / "before.csv"))

"""`forecaster evaluate` as its user meets it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forecaster.adapters.tables.history_files import write_history
from forecaster.cli import main
from forecaster.data.series import History
from forecaster.evaluation.backtest import backtest
from forecaster.models.candidates import CANDIDATES


def evaluate(models: Path, source: Path, *more: object) -> int:
    place = ["--models", str(models), "--name", "web", "--history", str(source)]
    return main(["evaluate", *place, *map(str, more)])


def file_of(path: Path, *items) -> Path:
    write_history(path, History(items), ())
    return path


def strict(path: Path) -> dict:
    """Read JSON as others do: NaN is no JSON."""

    def refuse(word: str):
        raise AssertionError(f"{word} in {path}")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_candidates_items_and_the_verdict_are_printed(models, history_file, history, capsys):
    assert evaluate(models, history_file) == 0
    out = capsys.readouterr().out
    for word in (*history.item_ids, "served", "boosting", "WAPE"):
        assert word in out


def test_every_figure_is_written_as_json(tmp_path, models, history_file, forecaster, history):
    out = tmp_path / "deep" / "figures.json"
    assert evaluate(models, history_file, "--json", out) == 0
    found, expected = strict(out), backtest(forecaster, history)
    assert found["summary"]["relative_pinball"] == pytest.approx(
        expected.summary["served"].relative
    )
    for item in expected.items:
        for name in CANDIDATES:
            figures = found["items"][item.item_id]["candidates"][name]
            assert figures["relative"] == pytest.approx(item.scores[name].relative)
            assert figures["by_horizon"] == pytest.approx(item.scores[name].by_horizon)
            assert len(figures["minute_coverage"]) == len(figures["minute_hours"]) == 60
            assert len(figures["top_coverage"]) == len(expected.quantile_levels)
            worst = figures["worst_minute"]
            assert worst["covered"] == figures["minute_coverage"][worst["minute"]]
            assert worst["hours"] == figures["minute_hours"][worst["minute"]]


def test_what_is_not_known_is_null_and_printed_all_the_same(tmp_path, models, history, capsys):
    silent = replace(history.series[0], item_id="dead/one", values=np.zeros(len(history.series[0])))
    source = file_of(tmp_path / "h.parquet", silent, history.series[1])
    assert (
        evaluate(models, source, "--json", tmp_path / "f.json", "--report", tmp_path / "f.html")
        == 0
    )
    found = strict(tmp_path / "f.json")["items"]["dead/one"]["candidates"]["served"]
    assert (found["relative"], found["wape"]) == (None, None)
    assert "dead/one" in capsys.readouterr().out


def test_a_page_is_written(tmp_path, models, history_file, capsys):
    out = tmp_path / "report.html"
    assert evaluate(models, history_file, "--report", out) == 0
    page = out.read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "shop/checkout" in page
    assert f"report: {out}" in capsys.readouterr().out


def test_a_version_can_be_named(models, history_file, capsys):
    assert evaluate(models, history_file, "--version", "v0001") == 0
    assert "shop/checkout" in capsys.readouterr().out


def test_a_backtest_of_training_data_warns_of_it(models, history_file, capsys):
    assert evaluate(models, history_file, "--from", "2026-01-14T00:00:00Z") == 0
    assert re.search(
        r"--from 2026-01-14.*\(3 items, shop/checkout first\)", capsys.readouterr().err
    )


def test_a_backtest_of_later_data_warns_of_nothing(models, history_file, capsys):
    assert evaluate(models, history_file, "--from", "2026-01-17T06:00:00Z") == 0
    assert "these figures flatter it" not in capsys.readouterr().err


def test_a_backtest_of_other_items_warns_of_nothing(tmp_path, models, history, capsys):
    stranger = replace(history.series[0], item_id="new/comer")
    source = file_of(tmp_path / "h.parquet", stranger)
    assert evaluate(models, source, "--from", "2026-01-14T00:00:00Z") == 0
    assert "these figures flatter it" not in capsys.readouterr().err


REFUSED = [
    pytest.param(
        ["--from", "2026-01-18T22:00:00Z"], r"origins lie between .* --from|start", id="end"
    ),
    pytest.param(["--from", "soon"], "--from is 'soon', but must be 'now'", id="no moment"),
    pytest.param(["--from", "2026-01-14"], "has no time zone", id="no zone"),
    pytest.param(["--step", "10m"], "step of 0:10:00, the model of 0:05:00", id="another step"),
    pytest.param(["--step", "7m"], "cannot bring a step", id="no multiple"),
    pytest.param(["--name", "shop"], "no model 'shop'", id="unknown name"),
    pytest.param(["--history", "none.csv"], r"none\.csv", id="no such history"),
    pytest.param(["--prometheus", "http://127.0.0.1:1"], "got both", id="two sources"),
    pytest.param(["--json", "kept/f.json"], r"--json: kept/f\.json cannot be written", id="json"),
    pytest.param(["--report", "kept/f"], r"--report: kept/f cannot be written", id="report"),
]


@pytest.mark.parametrize(("argv", "words"), REFUSED)
def test_what_cannot_be_evaluated_is_refused(
    models, history_file, argv, words, capsys, monkeypatch
):
    monkeypatch.chdir(models.parent)
    (models.parent / "kept").write_text("kept")
    assert evaluate(models, history_file, *argv) == 2
    said = capsys.readouterr().err
    assert re.search(words, said), said
    assert "Traceback" not in said
    assert (models.parent / "kept").read_text() == "kept"


def test_a_history_that_ends_where_training_did_is_refused_with_the_fix(
    tmp_path, models, history, forecaster, capsys
):
    first = history.series[0]
    seen = first.between(first.start, forecaster.item_model(first.item_id).trained_until)
    assert evaluate(models, file_of(tmp_path / "h.parquet", seen)) == 2
    assert "0 origins lie between" in (said := capsys.readouterr().err)
    assert "give it later history" in said


def test_the_tables_fit_into_80_columns_with_whole_names(models, history_file, history, capsys):
    assert evaluate(models, history_file) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in (*history.item_ids, "gradient boosting", "same time last week"):
        assert any(line.startswith(f"{name}  ") for line in lines)


def test_a_document_on_stdout_is_alone_there(models, history_file, tmp_path, capsys):
    files = "--json", tmp_path / "f.json", "--report", tmp_path / "f.html"
    assert evaluate(models, history_file, "-o", "json", *files) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == strict(tmp_path / "f.json")
    assert f"report: {tmp_path / 'f.html'}" in said.err


@pytest.mark.parametrize(
    "argv", [["--history", "none.csv"], ["--step", "soon"], ["--report", "."], ["--mask", "x"]]
)
def test_what_is_wrong_with_the_options_is_told_before_a_model_is_looked_for(argv, capsys):
    here = ["--models", "nowhere", "--name", "web", "--history", __file__]
    assert main(["evaluate", *here, *argv]) == 2
    said = capsys.readouterr().err
    assert argv[1] in said
    assert "no model" not in said

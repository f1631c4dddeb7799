"""`forecaster check` as its user meets it."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from forecaster.adapters.tables.history_files import write_history
from forecaster.commands import check
from forecaster.data.series import utc
from forecaster.data.synthetic import generate_history
from forecaster.errors import ConfigError, HistoryError

NOW = utc("2026-04-01T00:00:00Z")
ROWS = [
    f"shop/api,2026-03-02T{i // 60:02}:{i % 60:02}:00Z,{qps}"
    for i, qps in enumerate(np.random.default_rng(4).poisson(6000, 90) / 60)
]

COUNTER = [f"pay/api,2026-03-02T{i // 60:02}:{i % 60:02}:00Z,{5 * i}" for i in range(90)]


def run(*options: object) -> int:
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    return check.run(parser.parse_args([str(option) for option in options]), now=NOW)


def csv(tmp_path: Path, *more: str) -> Path:
    path = tmp_path / "h.csv"
    path.write_text("\n".join(["item_id,timestamp,qps", *ROWS, *more]) + "\n")
    return path


def test_a_clean_history_is_summarised_and_nothing_is_found(tmp_path, capsys):
    assert run("--history", csv(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "shop/api" in out
    assert "Nothing found" in out


def test_json_holds_the_summary_and_the_findings(tmp_path, capsys):
    assert run("--history", csv(tmp_path, "shop/api,2026-03-02T01:32:00Z,-1"), "--json") == 0
    record = json.loads(capsys.readouterr().out)
    (item,) = record["items"]
    assert record["usable"] is True
    assert (item["start"], item["end"]) == (
        "2026-03-02T00:00:00+00:00",
        "2026-03-02T01:33:00+00:00",
    )
    assert (item["step_seconds"], item["samples"]) == (60, 93)
    assert item["missing_ratio"] == pytest.approx(3 / 93)  # two without a row, one negative
    assert {found["rule"] for found in record["findings"]} == {"gap", "negative"}


def test_a_repair_is_printed_with_item_span_and_rule(tmp_path, capsys):
    assert run("--history", csv(tmp_path, "shop/api,2026-03-02T01:30:00Z,inf")) == 0
    out = " ".join(capsys.readouterr().out.split())
    for word in ("shop/api", "infinite", "repaired", "2026-03-02 01:30", "set missing"):
        assert word in out


def test_a_refused_item_is_shown_and_fails(tmp_path, capsys):
    path = csv(tmp_path, *COUNTER)
    with pytest.raises(HistoryError, match=r"h\.csv cannot be used: 1 item refused"):
        run("--history", path)
    out = " ".join(capsys.readouterr().out.split())
    assert "counter" in out
    assert "refused" in out
    with pytest.raises(HistoryError):
        run("--history", path, "--json")
    assert json.loads(capsys.readouterr().out)["usable"] is False


def test_a_refused_item_may_be_left_out(tmp_path):
    path = csv(tmp_path, *COUNTER)
    assert run("--history", path, "--skip-refused") == 0


def test_an_item_that_is_too_young_is_shown_and_left_out(tmp_path, capsys):
    assert run("--history", csv(tmp_path, "pay/api,2026-03-02T00:00:00Z,1")) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "too_short" in out
    assert "left_out" in out


def test_a_history_from_the_future_is_refused(tmp_path, capsys):
    with pytest.raises(HistoryError):
        run("--history", csv(tmp_path, "shop/api,2026-04-01T00:01:00Z,100"))
    assert "future" in capsys.readouterr().out


def test_a_window_can_be_masked(tmp_path, capsys):
    mask = "shop/api=2026-03-02T00:10:00Z/2026-03-02T00:20:00Z"
    assert run("--history", csv(tmp_path), "--mask", mask, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["rule"], found["count"]) == ("masked", 10)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param("yesterday", id="no span"),
        pytest.param("2026-03-02T00:10:00/2026-03-02T00:20:00", id="no zone"),
        pytest.param("2026-03-02T00:20:00Z/2026-03-02T00:10:00Z", id="backwards"),
    ],
)
def test_a_wrong_window_is_refused_with_an_example(tmp_path, mask):
    with pytest.raises(ConfigError, match=r"--mask is .*write \[ITEM=\]START/END"):
        run("--history", csv(tmp_path), "--mask", mask)


def test_an_inspected_file_shows_its_findings_until_it_is_inspected_again(tmp_path, capsys):
    path = tmp_path / "h.parquet"
    write_history(path, generate_history(4, 14, seed=7).history, ())
    assert run("--history", path) == 0
    assert "Nothing found" in capsys.readouterr().out
    assert run("--history", path, "--recheck") == 0
    assert "after_outage" in capsys.readouterr().out


def test_what_a_file_does_not_say_is_said_by_options(tmp_path, capsys):
    path = tmp_path / "h.csv"
    rows = [f"03/04/2025 00:{i:02};1,{250 + i};9" for i in range(60)]
    path.write_text("\n".join(["Time;hits;p99", *rows]) + "\n")
    said: list[str] = []
    for option, value in {
        "--dates": "day-first",
        "--timezone": "UTC",
        "--decimal": ",",
        "--unit": "count",
    }.items():
        with pytest.raises(HistoryError, match=option):
            run("--history", path, *said)
        said += [option, value]
    assert run("--history", path, *said, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["items"][0]["start"] == "2025-04-03T00:00:00+00:00"
    assert record["items"][0]["max_qps"] == pytest.approx(1.309 / 60)
    assert "left out: 'p99'" in record["findings"][0]["message"] + record["findings"][1]["message"]


def test_the_tables_fit_into_80_columns_with_whole_names(tmp_path, capsys):
    long = "a-longer-namespace/and-a-long-name"
    rows = [f"{long},2026-03-02T00:{i:02}:00Z,{60 + i % 7}" for i in range(60) if i != 30]
    assert run("--history", csv(tmp_path, *rows)) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith(f"{long}  2026-03-02 00:00   60s") for line in lines)
    assert any(line.startswith(f"{long}  gap    2026-03-02 00:30  1 of 60") for line in lines)

"""`forecaster generate` as its user meets it."""

import argparse
from datetime import timedelta

import pytest

from forecaster.adapters.tables.history_files import read_history, read_raw
from forecaster.commands import generate
from forecaster.data.series import utc
from forecaster.errors import ConfigError

NOW = utc("2026-04-01T00:00:30Z")


def run(*options: object) -> int:
    parser = argparse.ArgumentParser()
    generate.add_arguments(parser)
    return generate.run(parser.parse_args([str(option) for option in options]), now=NOW)


def test_it_writes_the_asked_items_days_and_step(tmp_path, capsys):
    path = tmp_path / "h.parquet"
    assert run("--out", path, "--items", 2, "--days", 7, "--seed", 7, "--step", "5m") == 0
    history = read_history(path).history
    assert history.item_ids == ("shop/checkout", "shop/search")
    assert (history.step, len(history.series[0])) == (timedelta(minutes=5), 7 * 288)
    assert "2 generated items" in capsys.readouterr().out


def test_the_same_seed_writes_the_same_values(tmp_path):
    for name in ("a", "b"):
        run("--out", tmp_path / f"{name}.parquet", "--days", 2, "--seed", 7)
    one, other = (read_raw(tmp_path / f"{name}.parquet") for name in ("a", "b"))
    assert [raw.values.tobytes() for raw in one] == [raw.values.tobytes() for raw in other]


def test_the_end_may_be_now(tmp_path):
    run("--out", tmp_path / "h.parquet", "--days", 2, "--start", "-2d")
    (series, *_) = read_history(tmp_path / "h.parquet").history
    assert series.end == utc("2026-04-01T00:00:00Z")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(("--items", 0), "--items is 0, but must be at least 1", id="no items"),
        pytest.param(("--days", 0), "--days is 0", id="no days"),
        pytest.param(("--seed", -1), "--seed is -1", id="negative seed"),
        pytest.param(("--step", "soon"), "--step is 'soon'", id="no step"),
        pytest.param(("--step", "2d", "--days", 1), "fit into 1 days", id="too coarse"),
        pytest.param(("--start", "2026-01-05"), "--start", id="no zone"),
    ],
)
def test_a_wrong_option_is_refused_and_nothing_is_written(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        run("--out", tmp_path / "h.parquet", *options)
    assert not list(tmp_path.iterdir())

"""`forecaster predict` as its user meets it."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecaster.adapters.tables.history_files import history_to_frame, write_history
from forecaster.cli import main
from forecaster.data.series import History
from forecaster.data.synthetic import generate_history


def predict(models: Path, source: Path, *more: object) -> int:
    place = ["--models", str(models), "--name", "web", "--history", str(source)]
    return main(["predict", *place, *map(str, more)])


def told(frame: pd.DataFrame, item_id: str) -> np.ndarray:
    """Return the quantiles of one item, ``(horizon, levels)``."""
    mine = frame[frame["item_id"] == item_id]
    return mine[[column for column in mine if re.fullmatch(r"q?0\.\d+", str(column))]].to_numpy()


READERS = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}


@pytest.mark.parametrize("suffix", READERS)
def test_every_step_of_every_item_is_written(
    tmp_path, models, history_file, forecaster, history, suffix
):
    out = tmp_path / "deep" / f"forecast{suffix}"
    assert predict(models, history_file, "--out", out) == 0
    frame = READERS[suffix](out)
    expected = forecaster.predict(history)
    assert len(frame) == 3 * expected.prediction_length
    for i, item_id in enumerate(expected.item_ids):
        np.testing.assert_allclose(told(frame, item_id), expected.values[i], rtol=1e-6)
    stamps = pd.to_datetime(frame["timestamp"], utc=True)
    assert stamps.min() == expected.origins[0] + expected.step
    assert [path.name for path in out.parent.iterdir()] == [out.name]  # and no draft


def test_json_is_a_list_of_records(tmp_path, models, history_file):
    out = tmp_path / "forecast.json"
    predict(models, history_file, "--out", out)
    first = json.loads(out.read_text())[0]
    assert first["item_id"] == "shop/checkout"
    assert first["timestamp"].startswith("2026-01-19T00:00:00")


def test_without_a_file_a_table_is_printed(models, history_file, forecaster, history, capsys):
    assert predict(models, history_file) == 0
    out = capsys.readouterr().out
    for word in (
        "shop/checkout",
        "shop/search",
        "pay/api",
        "0.99",
        "30 min",
        "requests per second",
    ):
        assert word in out
    median = forecaster.predict(history).quantile(0.5)[0, 0]
    assert f"{median:,.4g}" in out


def test_only_so_many_items_are_printed_and_the_rest_is_counted(tmp_path, models, history, capsys):
    many = [replace(history.series[0], item_id=f"copy/{i}") for i in range(23)]
    write_history(tmp_path / "many.parquet", History(tuple(many)), ())
    assert predict(models, tmp_path / "many.parquet") == 0
    out = capsys.readouterr().out
    assert "copy/19" in out
    assert "copy/20" not in out
    assert "and 3 more items; --out FILE writes them all" in out


def test_services_that_the_model_never_saw_are_predicted(tmp_path, models):
    strangers = generate_history(6, 4, step=timedelta(minutes=5), seed=9).history
    source, out = tmp_path / "strangers.parquet", tmp_path / "forecast.csv"
    write_history(source, History(strangers.series[3:]), ())
    assert predict(models, source, "--out", out) == 0
    assert set(pd.read_csv(out)["item_id"]) == {"media/feed", "crm/export", "iot/ingest"}


def test_items_that_end_at_different_times_are_predicted_from_their_own_ends(
    tmp_path, models, history
):
    first, second, third = history
    second = second.between(second.start, second.end - timedelta(hours=5))
    third = third.between(third.start + timedelta(days=11), third.end - timedelta(minutes=5))
    source, out = tmp_path / "ragged.csv", tmp_path / "forecast.parquet"
    frame = pd.concat([history_to_frame(History((one,))) for one in (first, second, third)])
    frame.to_csv(source, index=False)
    assert predict(models, source, "--out", out) == 0
    begins = pd.read_parquet(out).groupby("item_id")["timestamp"].min()
    for one in (first, second, third):
        assert begins[one.item_id] == one.end


def test_a_masked_span_counts_as_missing(tmp_path, models, history_file):
    """An incident in the last half hour: the forecast begins where it did."""
    out = tmp_path / "forecast.parquet"
    mask = "pay/api=2026-01-18T23:30:00Z/2026-01-19T00:00:00Z"
    assert predict(models, history_file, "--mask", mask, "--out", out) == 0
    begins = pd.read_parquet(out).groupby("item_id")["timestamp"].min()
    assert str(begins["pay/api"]) == "2026-01-18 23:30:00+00:00"
    assert str(begins["shop/search"]) == "2026-01-19 00:00:00+00:00"


def test_a_finer_history_is_resampled_to_the_given_step(tmp_path, models, capsys):
    source = tmp_path / "minutes.parquet"
    write_history(source, generate_history(1, 2).history, ())
    assert predict(models, source) == 2
    assert "fetch with --step 300s" in capsys.readouterr().err
    assert predict(models, source, "--step", "5m") == 0


def test_instead_of_a_damaged_champion_the_one_before_is_loaded(
    models, history_file, artifact, caplog, capsys
):
    from forecaster.adapters.registry.registry import Registry
    from forecaster.data.series import utc

    registry = Registry(models)
    version = registry.save("web", artifact, now=utc("2026-04-02T00:00:00Z"))
    registry.promote("web", version)
    (models / "web" / version / "weights.safetensors").write_bytes(b"\x80\x04.")
    assert predict(models, history_file) == 0
    assert "is a pickle" in caplog.text
    assert "shop/checkout" in capsys.readouterr().out


REFUSED = [
    pytest.param(["--out", "f.xlsx"], r"f\.xlsx, but must end in \.csv, \.parquet or", id="suffix"),
    pytest.param(["--name", "shop"], "no model 'shop' in .*; there are: web", id="unknown name"),
    pytest.param(["--version", "v7"], "no version 'v7' .*there are: v0001", id="unknown version"),
    pytest.param(["--models", "nowhere"], "no model 'web' in nowhere", id="no registry"),
    pytest.param(["--history", "none.csv"], r"none\.csv", id="no such history"),
    pytest.param(["--prometheus", "http://127.0.0.1:1"], "got both", id="two sources"),
    pytest.param(["--step", "soon"], "--step is 'soon'", id="no step"),
    pytest.param(["--out", "kept.csv/f.csv"], r"--out: kept\.csv/f\.csv cannot be", id="a file"),
]


@pytest.mark.parametrize(("argv", "words"), REFUSED)
def test_what_cannot_be_predicted_is_refused_and_nothing_is_written(
    models, history_file, argv, words, capsys, monkeypatch
):
    monkeypatch.chdir(models.parent)
    (models.parent / "kept.csv").write_text("kept")
    before = sorted(models.parent.rglob("*"))
    assert predict(models, history_file, *argv) == 2
    said = capsys.readouterr().err
    assert re.search(words, said), said
    assert "Traceback" not in said
    assert sorted(models.parent.rglob("*")) == before
    assert (models.parent / "kept.csv").read_text() == "kept"


FULL_DISK = """
import resource, sys
from pathlib import Path
from forecaster.commands.output_files import write_file
from forecaster.errors import ConfigError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
try:
    write_file(Path(sys.argv[1]), "--out", "x" * 100_000)
except ConfigError as error:
    print(error)
"""


def test_on_a_full_disk_the_file_before_stays(tmp_path):
    path = tmp_path / "forecast.csv"
    path.write_text("before")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"--out: {path} cannot be written: File too large\n"
    assert path.read_text() == "before"
    assert [found.name for found in tmp_path.iterdir()] == ["forecast.csv"]


def test_findings_are_counted_and_the_command_that_lists_them_is_named(
    tmp_path, models, history, capsys
):
    values = history[history.item_ids[0]].values.copy()
    values[2000:2003] = np.nan
    series = replace(history[history.item_ids[0]], values=values)
    write_history(tmp_path / "history.parquet", History((series,)))
    assert predict(models, tmp_path / "history.parquet") == 0
    told = capsys.readouterr().err
    count = re.match(r"(\d+) notes? on data quality: forecaster check --history (.+)\n$", told)
    assert count is not None, told
    assert count[2] == str(tmp_path / "history.parquet")
    assert main(["check", "--history", count[2]]) == 0
    assert "missing" in capsys.readouterr().out

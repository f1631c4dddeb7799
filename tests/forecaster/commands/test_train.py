"""`forecaster train` as its user meets it: stored and promoted, or refused with nothing changed."""

import json
import re
import shlex
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from forecaster.adapters.registry.checkpoints import FileCheckpoints
from forecaster.adapters.registry.loading import load_forecaster
from forecaster.adapters.registry.registry import Registry
from forecaster.adapters.tables.history_files import write_history
from forecaster.cli import main
from forecaster.data.series import History, Series, utc
from forecaster.data.synthetic import generate_history

QUARTER = timedelta(minutes=15)
DAY = 96  # samples of a quarter of an hour
SMALL = ["--prediction-length", "4", "--context-length", "4", "--members", "1", "--device", "cpu"]
QUICK = [*SMALL, "--time-budget", "1s"]


def train(out: Path, source: Path, *more: str) -> int:
    place = ["--out", str(out), "--name", "web"]
    return main(["train", "--history", str(source), *place, *more])


def file_of(tmp_path: Path, *items: Series) -> Path:
    path = tmp_path / "traffic.parquet"
    write_history(path, History(items), ())
    return path


def made_of(values, item_id: str = "shop/api") -> Series:
    return Series(item_id, utc("2026-01-05T00:00:00Z"), QUARTER, np.asarray(values, float))


@pytest.fixture(scope="module")
def traffic_file(tmp_path_factory) -> Path:
    history = generate_history(2, 14, step=QUARTER, seed=3).history
    return file_of(tmp_path_factory.mktemp("traffic"), *history)


@pytest.fixture(scope="module")
def little_traffic_file(tmp_path_factory) -> Path:
    """One item for nine days: for what depends on the run, not on what is learned."""
    history = generate_history(1, 9, step=QUARTER, seed=3).history
    return file_of(tmp_path_factory.mktemp("little"), *history)


def files_in(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_trained_forecaster_is_stored_promoted_and_predicts(tmp_path, traffic_file, capsys):
    assert train(tmp_path / "m", traffic_file, *QUICK, "--promote", "always") == 0

    out, err = capsys.readouterr()
    assert re.search(r"web v0001 is champion: served 0\.\d+ of last value's pinball loss", out)
    assert re.search(r"member 1/1 epoch 1/\d+ loss [\d.]+ calibration [\d.]+ [\d.]+ s", err)
    assert "backtesting" in err
    assert re.search(r"of 1 s, calibration|1 s are not enough: calibration and backtest take", err)
    stored = Registry(tmp_path / "m").load("web")
    assert stored.config["model"]["step"] == 900
    assert set(stored.report["items"]) == {"shop/checkout", "shop/search"}
    assert stored.report["summary"]["relative_pinball"] < 1
    assert stored.report["fit_seconds"].keys() == {"lstm", "ridge", "boosting"}
    history = generate_history(2, 14, step=QUARTER, seed=3).history
    assert load_forecaster(tmp_path / "m", "web").predict(history).prediction_length == 4
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["web"]  # no checkpoint is left


def wild(days: int) -> np.ndarray:
    return np.random.default_rng(5).gamma(3, 30, days * DAY)


def unforeseeable_until_the_test_part(tmp_path: Path) -> Path:
    """Noise, of which the last part repeats the week before: only seasonal_week knows."""
    values = wild(14)
    test = 14 * DAY * 7 // 8
    values[test:] = values[test - 7 * DAY : 7 * DAY]
    return file_of(tmp_path, made_of(values))


def test_the_first_forecaster_serves_by_its_best_candidate_and_a_later_one_only_if_it_wins(
    tmp_path, capsys
):
    source, out = unforeseeable_until_the_test_part(tmp_path), tmp_path / "m"
    assert train(out, source, *QUICK) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"champion: same time last week serves all.* below the loss of what is served, by more",
        said,
    )
    served = load_forecaster(out, "web")
    assert {found.source for found in served.item_models.values()} == {"seasonal_week"}
    assert served.default_model.source == "seasonal_week"
    assert Registry(out).load("web").report["items"]["shop/api"]["source"] == "seasonal_week"

    assert train(out, source, *QUICK) == 0
    said = capsys.readouterr().out
    assert "web v0002 is stored, not champion: " in said
    assert "same time last week is " in said
    assert Registry(out).champion("web") == "v0001"
    command = said.splitlines()[-1].partition(": forecaster ")[2]
    assert main(shlex.split(command)) == 0
    assert Registry(out).champion("web") == "v0002"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.r_[wild(12), np.full(2 * DAY, 50.0)], id="a constant test part"),
        pytest.param(np.where(np.arange(14 * DAY) == 500, 51, 50), id="constant but for a blip"),
    ],
)
def test_a_first_forecaster_serves_where_hardly_anything_can_be_compared(tmp_path, values, capsys):
    source = tmp_path / "traffic.parquet"
    write_history(source, History((made_of(values),)))  # without findings: it is inspected
    assert train(tmp_path / "m", source, *QUICK) == 0
    assert "web v0001 is champion: " in capsys.readouterr().out
    forecast = load_forecaster(tmp_path / "m", "web").predict(History((made_of(values),)))
    np.testing.assert_allclose(forecast.values, 50, rtol=0.1)


def test_even_the_best_forecaster_is_not_promoted_with_promote_never(
    tmp_path, traffic_file, capsys
):
    assert train(tmp_path / "m", traffic_file, *QUICK, "--promote", "never") == 0
    assert "web v0001 is stored, not champion" in capsys.readouterr().out
    assert not Registry(tmp_path / "m").has_champion("web")


def test_a_finer_history_is_resampled_to_the_step_that_is_asked_for(tmp_path):
    source = file_of(tmp_path, *generate_history(1, 9, seed=3).history)
    assert train(tmp_path / "m", source, *QUICK, "--step", "15m", "--promote", "never") == 0
    assert Registry(tmp_path / "m").load("web", "v0001").config["model"]["step"] == 900


def test_items_that_begin_and_end_at_different_times_are_trained_together(tmp_path):
    first, second, third = generate_history(3, 14, step=QUARTER, seed=3).history
    ragged = (
        first,
        second.between(second.start, second.end - timedelta(days=4)),
        third.between(third.start + timedelta(days=3), third.end - timedelta(hours=7)),
    )
    assert train(tmp_path / "m", file_of(tmp_path, *ragged), *QUICK, "--promote", "always") == 0
    forecast = load_forecaster(tmp_path / "m", "web").predict(History(ragged))
    assert forecast.origins == tuple(one.end - QUARTER for one in ragged)


TEN_MINUTES = timedelta(minutes=10)
AGES = {
    "old/shop": 28 * 24,
    "old/pay": 28 * 24,
    "new/search": 5 * 24,
    "new/cart": 5,
    "new/login": 1,
}


@pytest.fixture(scope="module")
def living_cluster(tmp_path_factory) -> Path:
    """A wide file of items of every age in hours, of one without samples and one that is gone."""
    hours = [*AGES.values(), 0, 28 * 24]
    items = generate_history(len(hours), 28, step=TEN_MINUTES, seed=3).history
    columns = {}
    for name, age, one in zip([*AGES, "new/mail", "dead/blog"], hours, items, strict=True):
        columns[name] = np.where(np.arange(len(one)) < len(one) - 6 * age, np.nan, one.values)
    columns["dead/blog"][-7 * 144 :] = np.nan
    stamps = [one.astype(str) for one in items.series[0].stamps.astype("datetime64[s]")]
    cells = [["" if np.isnan(v) else f"{v:.3f}" for v in column] for column in columns.values()]
    rows = zip(*cells, strict=True)
    lines = [f"{stamp}Z,{','.join(row)}" for stamp, row in zip(stamps, rows, strict=True)]
    path = tmp_path_factory.mktemp("living") / "living.csv"
    path.write_text("\n".join([",".join(["timestamp", *columns]), *lines]) + "\n")
    return path


def test_young_and_dead_items_stop_no_training(tmp_path, living_cluster, capsys):
    out = tmp_path / "m"
    assert train(out, living_cluster, *QUICK) == 0
    said = capsys.readouterr().err
    told = [line for line in said.splitlines() if "served by the shared model" in line]
    assert told == [line for line in said.splitlines() if "new/cart" in line]
    assert "items that it does not know: new/cart (new/cart: 30 samples (5:00:00)" in told[0]
    assert all(f"{name}: " in said for name in ("new/mail", "new/login"))
    assert "left out" in said
    assert "the longest 23 days" not in said  # new/search is younger, that is no gap

    stored = Registry(out).load("web")
    assert set(stored.config["items"]) == {"old/shop", "old/pay", "new/search", "dead/blog"}
    assert set(stored.report["items"]) == {"old/shop", "old/pay", "new/search"}
    argv = ["--models", str(out), "--name", "web", "--history", str(living_cluster)]
    assert main(["predict", *argv]) == 0
    assert "new/cart after" in capsys.readouterr().out
    assert main(["evaluate", *argv]) == 0
    assert "left out: new/cart: 0 origins" in capsys.readouterr().err


def csv(tmp_path: Path, last: str = "") -> Path:
    rows = [f"2026-01-05T{i // 4:02}:{i % 4 * 15:02}:00Z,{100 + i % 7}" for i in range(95)]
    path = tmp_path / "h.csv"
    path.write_text("\n".join(["timestamp,shop/api", *rows, last]) + "\n")
    return path


def test_a_history_that_is_too_short_is_refused_with_the_days_it_needs(tmp_path, models, capsys):
    before = files_in(models)
    assert train(models, csv(tmp_path), *QUICK) == 2
    said = capsys.readouterr().err
    days = re.search(r"shop/api: 95 samples .* give it (?:about )?(\d+) days", said)
    assert days is not None
    assert files_in(models) == before

    values = np.random.default_rng(1).gamma(3, 30, int(days[1]) * DAY)
    assert train(models, file_of(tmp_path, made_of(values)), *QUICK) == 0  # and they suffice


def in_the_checkpoint(models: Path) -> Path:
    return models / ".training-web.safetensors"


def test_resuming_another_run_is_refused(models, traffic_file, capsys):
    state = {"counters": np.zeros(4)}
    FileCheckpoints(in_the_checkpoint(models), "another run", resume=False).save(state)
    before = files_in(models)
    assert train(models, traffic_file, *QUICK, "--resume") == 2
    assert "is of another run (other history or options)" in capsys.readouterr().err
    assert files_in(models) == before


def test_resuming_from_a_truncated_state_is_refused_with_the_fix(models, traffic_file, capsys):
    in_the_checkpoint(models).write_bytes(b"\x10\0\0\0\0\0\0\0{torn")
    before = files_in(models)
    assert train(models, traffic_file, *QUICK, "--resume") == 2
    assert "cannot be read" in (said := capsys.readouterr().err)
    assert "remove it to begin anew" in said
    assert files_in(models) == before


def test_resuming_without_a_state_starts_from_the_beginning(tmp_path, traffic_file):
    assert train(tmp_path / "m", traffic_file, *QUICK, "--resume") == 0


ONCE = [*SMALL, "--epochs", "1"]
LONG = [*SMALL, "--epochs", "2", "--promote", "always"]


def test_a_run_that_was_killed_is_resumed_to_the_very_same_model(
    tmp_path, little_traffic_file, capsys
):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    source = str(little_traffic_file)
    command = [sys.executable, "-m", "forecaster.cli", "train", "--history", source]
    command += ["--out", str(killed), "--name", "web", *LONG]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        line = next(line for line in process.stderr if "epoch" in line)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert "epoch 1/2" in line
    assert Registry(killed).names() == ()  # nothing half-stored

    assert train(killed, little_traffic_file, *LONG, "--resume") == 0
    assert "epoch 1/2" not in capsys.readouterr().err
    assert train(whole, little_traffic_file, *LONG) == 0
    for name in ("weights.safetensors", "config.json"):
        mine, yours = (root / "web" / "v0001" / name for root in (killed, whole))
        assert mine.read_bytes() == yours.read_bytes()
    assert not in_the_checkpoint(killed).exists()


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
from forecaster.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


def test_on_a_full_disk_the_champion_still_serves(models, traffic_file, forecaster, history):
    before = files_in(models)
    argv = ["train", "--history", str(traffic_file), "--out", str(models), "--name", "web", *QUICK]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *argv], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no checkpoint: " in done.stderr  # warned, and went on
    assert f"cannot save {models}/web: File too large; nothing stored has changed" in done.stderr
    assert "the champion before it, if any, still serves" in done.stderr
    assert "Traceback" not in done.stderr
    assert files_in(models) == before
    np.testing.assert_array_equal(
        load_forecaster(models, "web").predict(history).values,
        forecaster.predict(history).values,
    )


def test_a_save_that_failed_is_repeated_without_fitting_again(
    tmp_path, little_traffic_file, capsys
):
    """The place of the model is taken by a file; once it is gone, the run goes on from its end."""
    out = tmp_path / "m"
    out.mkdir()
    (out / "web").write_text("in the way")
    assert train(out, little_traffic_file, *ONCE) == 2
    first = capsys.readouterr().err
    assert "epoch" in first
    assert in_the_checkpoint(out).exists()

    (out / "web").unlink()
    assert train(out, little_traffic_file, *ONCE, "--resume") == 0
    assert "epoch" not in capsys.readouterr().err
    report = json.loads((out / "web" / "v0001" / "report.json").read_text())
    assert report["summary"]["relative_pinball"] > 0

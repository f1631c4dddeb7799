"""What `forecaster` of 0.1.0 stored loads, predicts the same numbers, resumes and is managed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forecaster import read_history
from forecaster.adapters.exact_json import plain_object
from forecaster.adapters.registry.loading import load
from forecaster.adapters.registry.registry import Registry
from forecaster.cli import main
from forecaster.evaluation.backtest import Backtest, score_item
from forecaster.evaluation.splits import cases_at, item_track
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.upgrade.v0_1_0 import FIXTURES, read, unpacked

HISTORY = str(FIXTURES / "history.parquet")
# 0.1.0 cut its averages of recent errors off after a day, and let the first day weigh most: a
# forecast moved by up to 3.4 % when that was put right. A wrong array would move it far more.
NEAR = {"rtol": 0.04, "atol": 1e-9}
# Scores of 87 origins, of which five are peaks.
AS_GOOD = {"rtol": 0.15, "atol": 0.1}
# They are better than they were where the level has moved.
FOLLOW_THE_LEVEL = ("seasonal_day", "seasonal_week")
# As `made_by/models.sh` trained, and as the checkpoint's run was called.
TRAINED = (
    *("--members", "1", "--epochs", "2", "--context-length", "12", "--prediction-length", "6"),
    *("--device", "cpu", "--name", "web"),
)
TIMED = ("seconds", "fit_seconds", "predict_seconds")  # differ from run to run


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """What was packed; nobody writes to it."""
    return unpacked("forecaster", tmp_path_factory.mktemp("stored"))


@pytest.fixture
def models(stored, tmp_path) -> Path:
    """The registry, to be changed."""
    return Path(shutil.copytree(stored / "registry", tmp_path / "models"))


def predicted(models: Path, folder: Path, *options: str) -> list[dict]:
    out = folder / "forecast.json"
    asked = ("predict", "--models", str(models), "--name", "web", "--history", HISTORY)
    assert main([*asked, "--out", str(out), *options]) == 0
    return json.loads(out.read_text())


@pytest.mark.parametrize("version", ["v0001", "v0002"])
def test_each_stored_version_predicts_what_it_did(stored, tmp_path, version):
    expected = read(f"forecast-{version}.json")
    found = predicted(stored / "registry", tmp_path, "--version", version)
    assert [list(row) for row in found] == [list(row) for row in expected]
    for name in expected[0]:
        mine, theirs = ([row[name] for row in rows] for rows in (found, expected))
        if isinstance(theirs[0], float):
            np.testing.assert_allclose(mine, theirs, **NEAR)
        else:
            assert mine == theirs


def test_the_champion_serves(stored, tmp_path):
    assert predicted(stored / "registry", tmp_path) == predicted(
        stored / "registry", tmp_path, "--version", "v0002"
    )


def test_every_candidate_of_a_stored_model_is_as_good_as_it_was(stored):
    """From the same origins: 0.1.0 judged on the quarter hours only."""
    expected = json.loads((stored / "evaluation.json").read_text())
    forecaster = load(str(stored / "registry"), "web").forecaster
    seconds = dict.fromkeys(forecaster.candidates.names, 0.0)
    items = []
    for series in read_history(HISTORY).history:
        then = expected["items"][series.item_id]
        stamps = np.linspace(then["first_origin"], then["last_origin"], then["origins"])
        track = item_track(series, forecaster.model.timing)
        cases = cases_at(track, np.searchsorted(series.stamps, stamps), forecaster.model)
        items.append(score_item(forecaster, series, cases, seconds))
    step = int(forecaster.model.step.total_seconds())
    result = Backtest(forecaster.model.quantile_levels, step, tuple(items), seconds)
    found = plain_object(result.record(), "", non_finite_as_null=True)
    for item, one in expected["items"].items():
        for name in FOLLOW_THE_LEVEL:
            then, now = one["candidates"].pop(name), found["items"][item]["candidates"][name]
            assert now["pinball"] <= 1.15 * then["pinball"]
    for name in FOLLOW_THE_LEVEL:
        del expected["summary"]["candidates"][name]
    assert_same(found, expected, **AS_GOOD)


def test_a_stored_model_is_evaluated_with_the_figures_there_were(stored, tmp_path):
    out = tmp_path / "evaluation.json"
    asked = ("evaluate", "--models", str(stored / "registry"), "--name", "web")
    assert main([*asked, "--history", HISTORY, "--json", str(out)]) == 0
    found, expected = (json.loads(p.read_text()) for p in (out, stored / "evaluation.json"))
    (item, figures), *_ = expected["items"].items()
    assert expected.keys() <= found.keys()
    assert figures.keys() <= found["items"][item].keys()
    for name, scores in figures["candidates"].items():
        assert scores.keys() <= found["items"][item]["candidates"][name].keys()


def assert_same(found, expected, path="", *, rtol=1e-3, atol=5e-3) -> None:
    """Compare JSON but for what was timed; there may be more than there was."""
    within = {"rtol": rtol, "atol": atol}
    if isinstance(expected, dict):
        for key in expected.keys() - set(TIMED):
            assert key in found, f"{path}.{key}"
            assert_same(found[key], expected[key], f"{path}.{key}", **within)
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for place, value in enumerate(expected):
            assert_same(found[place], value, f"{path}[{place}]", **within)
    elif isinstance(expected, float):
        np.testing.assert_allclose(found, expected, err_msg=path, **within)
    else:
        assert found == expected, path


def managed(capsys, action: str, *names: str, models: Path):
    assert main(["models", action, *names, "--models", str(models), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_stored_models_are_listed_and_shown_as_they_were(stored, capsys):
    for action, names in (("list", ()), ("show", ("web",))):
        found = managed(capsys, action, *names, models=stored / "registry")
        assert_same(found, json.loads((stored / f"models-{action}.json").read_text()))


def test_the_pointer_goes_back_and_forth(models, capsys):
    assert managed(capsys, "rollback", "web", models=models)["champion"] == "v0001"
    assert managed(capsys, "promote", "web", "v0002", models=models)["before"] == "v0001"
    assert managed(capsys, "list", models=models)[0]["champion"] == "v0002"


def test_a_new_version_has_the_form_of_the_old_ones(models, artifact, tmp_path):
    """So an old scaler reads what a new CronJob writes: no key or array of the old form is gone."""
    from forecaster.data.series import utc  # noqa: PLC0415

    registry = Registry(models)
    registry.save("web", artifact, now=utc("2026-04-01T00:00:00Z"))
    old, new = (registry.stored("web", version) for version in ("v0002", "v0003"))
    assert new.sizes.keys() == old.sizes.keys()
    old_sums, new_sums = (
        json.loads((models / "web" / version / "checksums.json").read_text())
        for version in ("v0002", "v0003")
    )
    assert new_sums["format_version"] == old_sums["format_version"] == 1
    assert new_sums.keys() == old_sums.keys()
    assert_covers(new.artifact.config, old.artifact.config)
    mine, theirs = new.artifact.tensors, old.artifact.tensors
    assert mine.keys() >= theirs.keys()
    for name, array in theirs.items():
        assert (mine[name].dtype, mine[name].ndim) == (array.dtype, array.ndim), name


def assert_covers(found, expected, path="") -> None:
    """Assert that every key is there with its type; lists are alike in their first entry."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in found, f"{path}.{key}"
            assert_covers(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list) and expected:
        assert_covers(found[0], expected[0], f"{path}[0]")
    elif expected is not None and found is not None:
        assert type(found) is type(expected), path


def test_a_run_that_was_killed_goes_on(models, stored, capfd):
    shutil.copy(stored / "checkpoint.safetensors", models / ".training-web.safetensors")
    asked = ("train", "--history", HISTORY, "--out", str(models), "--seed", "2", "--resume")
    assert main([*asked, "--promote", "never", *TRAINED]) == 0
    said = capfd.readouterr()
    assert "epoch 1/2" not in said.err
    assert "epoch 2/2" in said.err
    assert "web v0003 is stored" in said.out
    assert not (models / ".training-web.safetensors").exists()


def test_a_checkpoint_of_other_options_is_refused_with_the_way_out(models, stored, capsys):
    shutil.copy(stored / "checkpoint.safetensors", models / ".training-web.safetensors")
    asked = ("train", "--history", HISTORY, "--out", str(models), "--seed", "3", "--resume")
    assert main([*asked, *TRAINED]) == 2
    assert "leave --resume out to begin anew" in capsys.readouterr().err


def test_the_scaler_serves_an_old_model(stored):
    """An old CronJob beside a new scaler: the registry is all that they share."""
    from scaler.adapters.registry_models import RegistryModels  # noqa: PLC0415

    models = RegistryModels(str(stored / "registry"))
    models.reload(["web"])
    series = list(read_history(Path(HISTORY)).history)
    forecast = models.predict("web", series).forecast
    expected = [row["q0.5"] for row in read("forecast-v0002.json")]
    np.testing.assert_allclose(forecast.quantile(0.5).ravel(), expected, **NEAR)
    assert models.version("web") == "v0002"


def test_a_history_in_csv_is_the_one_in_parquet():
    whole = read_history(Path(HISTORY)).history
    for newest in read_history(FIXTURES / "history.csv.gz").history:
        same = whole[newest.item_id].between(newest.start, newest.end)
        np.testing.assert_array_equal(newest.values, same.values)


QUERY = "sum by (service) (rate(requests_total[5m]))"


def test_chunks_of_before_are_asked_for_anew(tmp_path):
    """They may be partial answers, which nobody told apart: the folder has another name now."""
    (old,) = (FIXTURES / "fetch-cache").iterdir()
    cache = tmp_path / "cache"
    with serving(PrometheusServer({QUERY: [FakeSeries({"service": "shop"}, constant)]})) as server:
        key = ["1", server.url, "", "", "", QUERY, "600", "0"]
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
        shutil.copytree(old, cache / name, copy_function=shutil.copyfile)
        asked = (
            *("fetch", "--prometheus", server.url, "--query", QUERY, "--step", "10m"),
            *("--start", "2026-03-28T00:00:00Z", "--end", "2026-03-29T00:00:00Z"),
            *("--item-label", "service", "--chunk-points", "100", "--cache-dir", str(cache)),
        )
        assert main([*asked, "--out", str(tmp_path / "history.parquet")]) == 0
        assert server.asked != []
    (series,) = read_history(tmp_path / "history.parquet").history
    assert set(series.values.tolist()) == {7.0}


def constant(_: int) -> str:
    return "7"


def test_a_replay_of_an_old_model_says_what_it_said(stored, tmp_path):
    out = tmp_path / "replay.json"
    command = (
        *("replay", "--history", HISTORY, "--policy", str(FIXTURES / "demo" / "policy.yaml")),
        *("--models", str(stored / "registry"), "--model", "web", "--no-frontier"),
        *("--from", "2026-01-14T18:00:00Z", "--workers", "1", "--json", str(out)),
    )
    code = "import sys; from scaler.cli import main; sys.exit(main())"
    run = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    assert_covers(json.loads(out.read_text()), read("replay.json"))

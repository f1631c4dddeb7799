"""A registry that changes, breaks or goes away under a scaler that runs: what serves, serves on."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecaster.adapters.registry.registry import Registry
from forecaster.data.series import Series
from scaler.adapters.registry_models import RegistryModels
from scaler.adapters.shipped_model import shipped_model
from tests.faults.scene import PRETRAINED

STEP = timedelta(minutes=1)
PAST = Series("prod/shop", datetime(2026, 3, 2, tzinfo=UTC), STEP, np.full(3 * 1440, 100.0))


@pytest.fixture
def registry(tmp_path) -> Path:
    shutil.copytree(PRETRAINED, tmp_path / "models")
    return tmp_path / "models"


def add_version(registry: Path, *, corrupt: bool = False) -> None:
    """Store a second version and make it the champion, as a promotion leaves it."""
    shutil.copytree(registry / "pretrained/v0001", registry / "pretrained/v0002")
    Registry(registry).promote("pretrained", "v0002")
    if corrupt:
        ruin(registry / "pretrained/v0002")


def ruin(version: Path) -> None:
    """Flip a bit in the middle of the weights."""
    weights = version / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)


def serves(models: RegistryModels) -> str | None:
    """Return the version that forecasts, None if none does."""
    predicted = models.predict("pretrained", [PAST])
    return models.version("pretrained") if predicted.forecast is not None else None


def remove_all(registry: Path) -> None:
    shutil.rmtree(registry)


def lose_the_pointer(registry: Path) -> None:
    (registry / "pretrained/champion.json").write_text("{")


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(
            lambda registry: ruin(registry / "pretrained/v0001"), id="its weights are corrupted"
        ),
        pytest.param(
            lambda registry: add_version(registry, corrupt=True), id="the next is corrupt"
        ),
        pytest.param(lose_the_pointer, id="the pointer is torn"),
        pytest.param(remove_all, id="the volume is gone"),
    ],
)
def test_what_serves_serves_on_while(registry, harm):
    models = RegistryModels(registry)
    models.reload(["pretrained"])
    assert serves(models) == "v0001"
    harm(registry)
    models.reload(["pretrained"])
    assert serves(models) == "v0001"


def test_the_newer_one_is_not_left_for_the_older_where_it_is_corrupted_later(registry):
    add_version(registry)
    models = RegistryModels(registry)
    models.reload(["pretrained"])
    ruin(registry / "pretrained/v0002")
    models.reload(["pretrained"])
    assert serves(models) == "v0002"


def test_a_new_champion_serves_from_the_next_step_on(registry):
    models = RegistryModels(registry)
    models.reload(["pretrained"])
    add_version(registry)
    models.reload(["pretrained"])
    assert serves(models) == "v0002"


def test_at_a_start_the_champion_before_serves_in_place_of_a_corrupt_one(registry):
    add_version(registry, corrupt=True)
    models = RegistryModels(registry)
    models.reload(["pretrained"])
    assert serves(models) == "v0001"


def test_a_fault_is_logged_once_and_not_at_every_step(registry, caplog):
    models = RegistryModels(registry)
    models.reload(["pretrained"])
    add_version(registry, corrupt=True)
    for _ in range(3):
        models.reload(["pretrained"])
    assert (
        len([one for one in caplog.records if one.name == "scaler.adapters.registry_models"]) == 1
    )


def test_nothing_is_read_anew_while_the_champion_is_the_same(registry, caplog):
    models = RegistryModels(registry)
    models.reload(["pretrained"])
    for file in (registry / "pretrained/v0001").iterdir():
        if file.name != "checksums.json":  # by which a version is known to be whole
            file.unlink()
    models.reload(["pretrained"])
    assert caplog.records == []  # what cannot be read would be told
    assert serves(models) == "v0001"


def test_a_forecast_that_fails_is_a_fault_of_its_item_alone(registry):
    models = RegistryModels(registry)
    models.reload(["pretrained"])
    other_step = Series("prod/web", PAST.start, timedelta(minutes=5), PAST.values)
    predicted = models.predict("pretrained", [PAST, other_step])
    assert set(predicted.rows) == {"prod/shop"}
    assert set(predicted.faults) == {"prod/web"}


# Before anything is trained: the model that ships.


def said_by(models: RegistryModels) -> tuple[str, ...]:
    forecast = models.predict("web", [PAST]).forecast
    return () if forecast is None else forecast.sources


def test_where_nothing_is_trained_the_model_that_ships_serves_until_something_is(tmp_path, caplog):
    models = RegistryModels(tmp_path, shipped=shipped_model)
    for _ in range(2):
        models.reload(["web"])
        assert said_by(models)[0].startswith("pretrained ")
    assert len([one for one in caplog.records if one.levelname == "WARNING"]) == 1
    shutil.copytree(PRETRAINED / "pretrained", tmp_path / "web")
    models.reload(["web"])
    assert not said_by(models)[0].startswith("pretrained ")
    assert models.version("web") == "v0001"
    remove_all(tmp_path)
    models.reload(["web"])
    assert models.version("web") == "v0001"  # what was trained serves on


def test_where_the_first_champion_is_corrupt_the_model_that_ships_serves(tmp_path):
    shutil.copytree(PRETRAINED / "pretrained", tmp_path / "web")
    ruin(tmp_path / "web/v0001")
    models = RegistryModels(tmp_path, shipped=shipped_model)
    models.reload(["web"])
    assert said_by(models)[0].startswith("pretrained ")
    shutil.copytree(PRETRAINED / "pretrained/v0001", tmp_path / "web/v0002")
    Registry(tmp_path).promote("web", "v0002")
    models.reload(["web"])
    assert models.version("web") == "v0002"


def test_where_not_even_the_model_that_ships_is_there_nothing_forecasts(tmp_path):
    models = RegistryModels(tmp_path, shipped=lambda: shipped_model(tmp_path))
    models.reload(["web"])
    assert said_by(models) == ()

"""Loading what is stored: the champion, or with a warning the one before it."""

import json
import logging

import numpy as np
import pytest

from forecaster.adapters.registry.loading import load_forecaster
from forecaster.adapters.registry.registry import Artifact, Registry
from forecaster.data.series import utc
from forecaster.errors import RegistryError
from tests.forecaster.evaluation.fitting_samples import assert_same_forecast

NOW = utc("2026-04-01T00:00:00Z")


@pytest.fixture
def root(tmp_path, artifact):
    """Two versions, the second of which is champion."""
    registry = Registry(tmp_path)
    for _ in range(2):
        registry.promote("web", registry.save("web", artifact, now=NOW))
    return tmp_path


def test_the_champion_is_loaded_without_a_warning(root, forecaster, history, caplog):
    with caplog.at_level(logging.WARNING):
        loaded = load_forecaster(root, "web")
    assert_same_forecast(loaded.predict(history), forecaster.predict(history))
    assert caplog.text == ""


def test_a_version_is_loaded_by_name(root, forecaster, history):
    loaded = load_forecaster(str(root), "web", "v0001")
    assert_same_forecast(loaded.predict(history), forecaster.predict(history))


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        pytest.param("shop", None, "no model 'shop' in .*; there are: web", id="unknown name"),
        pytest.param("web", "v0009", "no version 'v0009' .* v0001, v0002", id="unknown version"),
        pytest.param("../web", None, "is no model name", id="a path"),
    ],
)
def test_a_missing_name_is_refused_with_those_that_exist(root, name, version, words):
    with pytest.raises(RegistryError, match=words):
        load_forecaster(root, name, version)


def truncate(folder):
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def edit(folder):
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


def pickle(folder):
    (folder / "weights.safetensors").write_bytes(b"\x80\x04\x95")


def from_the_future(folder):
    checksums = folder / "checksums.json"
    content = json.loads(checksums.read_text())
    checksums.write_text(json.dumps(content | {"format_version": 2}))


DAMAGES = [
    pytest.param(truncate, "weights.safetensors is truncated", id="truncated"),
    pytest.param(edit, "weights.safetensors was edited", id="edited"),
    pytest.param(pickle, "weights.safetensors is a pickle", id="a pickle"),
    pytest.param(from_the_future, "reads up to 1; upgrade", id="of a newer version"),
    pytest.param(
        lambda folder: (folder / "config.json").unlink(), "config.json is missing", id="a file less"
    ),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_instead_of_a_damaged_champion_the_one_before_serves_with_a_warning(
    root, forecaster, history, caplog, damage, words
):
    damage(root / "web" / "v0002")
    with caplog.at_level(logging.WARNING):
        loaded = load_forecaster(root, "web")
    assert_same_forecast(loaded.predict(history), forecaster.predict(history))
    assert words in caplog.text
    assert "the champion before, v0001, serves" in caplog.text


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_a_damaged_version_that_was_asked_for_is_refused(root, damage, words):
    damage(root / "web" / "v0002")
    with pytest.raises(RegistryError, match=words):
        load_forecaster(root, "web", "v0002")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda c, t: t.pop("ridge/offset"), "ridge/offset", id="a missing array"),
        pytest.param(
            lambda c, t: t.update({"ridge/offset": np.zeros(99, np.float32)}),
            "ridge/offset has shape",
            id="a wrong shape",
        ),
        pytest.param(
            lambda c, t: c["services"][0].update(source="prophet"), "'prophet'", id="a candidate"
        ),
    ],
)
def test_an_intact_champion_that_cannot_be_used_is_passed_over_as_well(
    root, artifact, caplog, change, words
):
    config, tensors = json.loads(json.dumps(artifact.config)), dict(artifact.tensors)
    change(config, tensors)
    registry = Registry(root)
    registry.promote("web", registry.save("web", Artifact(config, tensors, {}), now=NOW))
    with caplog.at_level(logging.WARNING):
        loaded = load_forecaster(root, "web")
    assert [*loaded.item_models] == artifact.config["items"]
    assert words in caplog.text
    assert "the champion before, v0002, serves" in caplog.text
    with pytest.raises(RegistryError, match=words):
        load_forecaster(root, "web", "v0003")


def test_where_no_champion_can_be_read_the_reason_is_given_for_each(root):
    truncate(root / "web" / "v0001")
    edit(root / "web" / "v0002")
    with pytest.raises(
        RegistryError, match=r"v0002 is refused: .*edited.*v0001 is refused: .*trunc"
    ):
        load_forecaster(root, "web")

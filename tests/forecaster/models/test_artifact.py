"""The stored format of a forecaster: it is restored unchanged, or refused by name."""

import copy
import json

import numpy as np
import pytest

from forecaster.adapters.registry.files import decode, encode
from forecaster.data.series import utc
from forecaster.errors import RegistryError
from forecaster.models.artifact import pack, unpack
from tests.forecaster.evaluation.fitting_samples import TINY, assert_same_forecast

NOW = utc("2026-04-01T00:00:00Z")


@pytest.fixture
def config(artifact):
    return copy.deepcopy(artifact.config)


@pytest.fixture
def tensors(artifact):
    return dict(artifact.tensors)


def test_an_unpacked_forecaster_makes_identical_forecasts(forecaster, artifact, history):
    again = unpack(artifact.config, artifact.tensors)
    assert_same_forecast(again.predict(history), forecaster.predict(history))


def test_a_forecaster_survives_the_stored_bytes(forecaster, artifact, history):
    stored = decode(encode(artifact, NOW), "here").artifact
    again = unpack(stored.config, stored.tensors)
    assert_same_forecast(again.predict(history), forecaster.predict(history))


def test_the_models_of_all_items_are_restored(forecaster, config, tensors):
    again = unpack(json.loads(json.dumps(config)), tensors)
    assert again.item_models.keys() == forecaster.item_models.keys()
    for item in (*forecaster.item_models, "never/seen"):
        mine, yours = forecaster.item_model(item), again.item_model(item)
        assert (mine.source, mine.reason, mine.trained_until) == (
            yours.source, yours.reason, yours.trained_until,
        )  # fmt: skip
        for name, shifts in mine.shifts.items():
            np.testing.assert_array_equal(yours.shifts[name], shifts)
        assert yours.tails == mine.tails
    assert again.model == forecaster.model


def test_the_config_of_the_training_run_is_stored(config):
    assert config["train"]["seed"] == TINY.seed
    assert config["train"]["members"] == TINY.members
    assert config["model"]["step"] == 300.0


def test_packing_an_unpacked_forecaster_gives_the_same(forecaster, artifact):
    config, tensors = pack(unpack(artifact.config, artifact.tensors), TINY)
    assert config == artifact.config
    assert tensors.keys() == artifact.tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, artifact.tensors[name])


def test_every_array_is_required(config, tensors, artifact):
    for name in artifact.tensors:
        fewer = {key: array for key, array in tensors.items() if key != name}
        bare = name.rpartition("/")[2].lstrip("01.")  # a network's names its array without member
        with pytest.raises(RegistryError, match=bare):
            unpack(config, fewer)


def test_a_model_that_knows_no_tails_serves_the_levels_that_it_predicts(
    forecaster, config, tensors, history
):
    """As those of 0.1.0: the levels that are the same in both have the same values."""
    before = {name: array for name, array in tensors.items() if not name.startswith("tails/")}
    old = unpack(config, before).predict(history)
    new = forecaster.predict(history)
    assert (*old.quantile_levels, 0.999) == new.quantile_levels
    np.testing.assert_array_equal(old.quantile(0.5), new.quantile(0.5))
    assert (old.quantile(0.99) != new.quantile(0.99)).any()


@pytest.mark.parametrize("name", ["ridge/weights", "boosting/leaf", "shifts/ridge", "tails/ridge"])
def test_a_missing_array_is_named(config, tensors, name):
    del tensors[name]
    with pytest.raises(RegistryError, match=rf"is inconsistent: KeyError: '{name}'; .*train"):
        unpack(config, tensors)


def test_every_shape_is_checked(config, tensors, artifact):
    """Each array in turn loses the last row of its first axis, or gains an axis."""
    silent = []
    for name, array in artifact.tensors.items():
        for wrong in (array[:-1], array[None]) if array.ndim else (array[None, None],):
            try:
                unpack(config, tensors | {name: np.ascontiguousarray(wrong)})
            except RegistryError:
                continue
            silent.append((name, wrong.shape))
    assert silent == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda c, t: c.pop("model"), "'model'", id="no model"),
        pytest.param(lambda c, t: c["model"].pop("step"), "'step'", id="no step"),
        pytest.param(lambda c, t: c["model"].update(layers=2), "layers", id="an unknown setting"),
        pytest.param(
            lambda c, t: c["model"].update(quantile_levels=[0.9, 0.5]), "ascend", id="levels"
        ),
        pytest.param(
            lambda c, t: c["model"].update(hidden_size=9), r"lstm/0.* has shape", id="hidden"
        ),
        pytest.param(lambda c, t: c["model"].update(context_length=3), "ridge", id="context"),
        pytest.param(lambda c, t: c["model"].update(prediction_length=7), "shifts/", id="horizon"),
        pytest.param(lambda c, t: c["model"].update(step="5m"), "TypeError", id="step as text"),
        pytest.param(
            lambda c, t: c["services"][0].update(source="prophet"),
            "'prophet' is none of last_value, .*lstm",
            id="an unknown candidate",
        ),
        pytest.param(
            lambda c, t: c["services"][0].update(trained_until="soon"), "soon", id="no moment"
        ),
        pytest.param(lambda c, t: c["items"].pop(), "zip", id="an item without a name"),
        pytest.param(lambda c, t: c["services"].pop(), "shifts/", id="an item without service"),
        pytest.param(lambda c, t: c.update(services=[]), "shifts/", id="no services"),
        pytest.param(lambda c, t: c.update(services=None), "TypeError", id="services are null"),
        pytest.param(
            lambda c, t: [t.pop(n) for n in list(t) if n.startswith("lstm/")], "no network", id="0"
        ),
        pytest.param(
            lambda c, t: t.update({"lstm/x.bias": np.zeros(1)}), "'x'", id="a member without number"
        ),
        pytest.param(
            lambda c, t: t.update({"boosting/feature": t["boosting/feature"] + 1_000}),
            "columns outside",
            id="a column that is not there",
        ),
    ],
)
def test_an_inconsistent_model_is_refused_by_name(config, tensors, change, words):
    change(config, tensors)
    with pytest.raises(RegistryError, match=rf"is inconsistent: .*{words}"):
        unpack(config, tensors)


def test_the_refusal_names_the_version_that_wrote_it_and_the_fix(config, tensors):
    config["tidegate"] = "7.0.0"
    del config["items"]
    with pytest.raises(RegistryError, match=r"written by tidegate 7.0.0, this is .*train it again"):
        unpack(config, tensors)

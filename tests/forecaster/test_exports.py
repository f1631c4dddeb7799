"""What `from forecaster import ...` promises: every name, and no framework before its use."""

from __future__ import annotations

import importlib

import pytest

import forecaster
from tests.test_packaging import FRAMEWORKS, loaded_after


@pytest.mark.parametrize("name", forecaster.__all__)
def test_every_listed_name_can_be_imported(name):
    assert getattr(forecaster, name) is not None


@pytest.mark.parametrize(("name", "home"), sorted(forecaster._HOMES.items()))
def test_a_name_is_the_very_object_of_its_module(name, home):
    module = importlib.import_module(f"forecaster.{home}")

    assert getattr(forecaster, name) is getattr(module, name)


def test_homes_and_the_list_agree():
    assert {*forecaster._HOMES, "__version__"} == set(forecaster.__all__)


def test_names_are_found_by_completion():
    assert set(forecaster.__all__) <= set(dir(forecaster))


def test_a_name_that_is_not_there_says_so():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = forecaster.no_such_name


@pytest.mark.parametrize(
    "names",
    [
        pytest.param("__version__", id="the package"),
        pytest.param("History, Series, Forecast", id="the values"),
        pytest.param("generate_history", id="generated traffic"),
    ],
)
def test_importing_loads_no_framework(names):
    assert loaded_after(f"from forecaster import {names}") & FRAMEWORKS == set()


def test_configs_load_neither_torch_nor_pandas():
    assert loaded_after("from forecaster import TrainConfig") & {"torch", "pandas"} == set()


def test_reading_a_history_does_not_load_torch():
    loaded = loaded_after("from forecaster import read_history, history_from_frame")

    assert "pandas" in loaded
    assert "torch" not in loaded

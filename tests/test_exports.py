"""What `from forecaster import ...` and `from scaler import ...` promise."""

from __future__ import annotations

from types import ModuleType

import pytest

import forecaster
import scaler
from tests.test_packaging import FRAMEWORKS, loaded_after

PACKAGES = pytest.mark.parametrize("package", [forecaster, scaler], ids=lambda p: p.__name__)
NAMES = [
    pytest.param(package, name, id=f"{package.__name__}.{name}")
    for package in (forecaster, scaler)
    for name in sorted({*package.__all__} - {"__version__"})
]


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_name_that_is_listed_can_be_imported(package, name):
    assert getattr(package, name) is not None
    assert name in dir(package)


@PACKAGES
def test_a_name_that_is_not_there_says_so(package: ModuleType):
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name


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


def test_a_policy_loads_no_framework():
    assert loaded_after("from scaler import Policy, ScalePolicy, HPASpec") & FRAMEWORKS == set()


def test_reading_a_history_does_not_load_torch():
    loaded = loaded_after("from forecaster import read_history, history_from_frame")

    assert "pandas" in loaded
    assert "torch" not in loaded

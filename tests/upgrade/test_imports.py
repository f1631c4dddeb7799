"""Import paths of 0.1 go on for one release, and say where their module is now."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import warnings

import pytest

from forecaster import moved
from tests.paths import ROOT
from tests.upgrade.v0_1_0 import FIXTURES

NAMES: dict[str, list[str]] = json.loads((FIXTURES / "modules.json").read_text())
# What nobody outside the package can have used.
GONE = {
    "forecaster.calibration": {"POOLED_STEPS"},
    "forecaster.dataset": {"TEST_MINUTES"},
    "forecaster.smoothing": {"CHUNK", "PRODUCT"},
    "forecaster.windows": {"RHYTHM_SPANS"},
    "scaler.capacity": {"Feedback"},
    "scaler.client.terms": {"ClientTerms", "CLIENT_WINDOW_S"},
    "scaler.demand": {"unforeseeable"},
    "scaler.lease": {"renewed"},
    "scaler.planner": {"lead_time_s", "remembered"},
    "scaler.quantiles": {"maximum_of", "surprisals"},
    "scaler.simulation.contest": {"contender"},
    "scaler.simulation.hpa_rules": {"PodSample", "is_unready"},
    "scaler.simulation.staging": {"LATE", "TICK_S", "lead_of"},
}
# `from forecaster import ...`, as the notebooks had it.
FACADE = (
    *("Backtest", "Fitted", "Forecast", "Forecaster", "History", "ModelConfig", "Series"),
    *("TrainConfig", "backtest", "fit_forecaster", "forecast_to_frame", "generate_history"),
    *("history_from_frame", "history_to_frame", "load_forecaster", "read_history"),
    "write_history",
)
NOTEBOOKS = """
from forecaster.errors import HistoryError
from forecaster.plots import season_shape, traffic_overview
from forecaster.quality import RawSeries, inspect
from forecaster.series import DAY
from forecaster.commands.evaluate_output import print_backtest
from forecaster.plots import error_by_horizon, error_by_level, fan_chart
from forecaster.evaluation import SERVED
from forecaster.plots import backtest_fan, quantile_cost, reliability_diagram
from scaler.planner import ScalePolicy
from scaler.service_policy import ServicePolicy
from scaler.simulation.contest import contest
from scaler.simulation.figures import broken_requests, frontier, frontiers, replicas, trust
from scaler.simulation.findings import sentences, verdict
from scaler.simulation.hpa import HPASpec, MetricKind
from scaler.simulation.settings import ReplaySettings
from scaler.simulation.staging import Part, staged
from scaler.trust import TrustRules
from forecaster.predict import rolling_baseline, rolling_forecast
from scaler.client import TidegateLimit
from scaler.client.middleware import TidegateLimit, by_header
from scaler.client.limiter import LeaseLimiter, LimiterSettings
"""


def imported_anew(path: str):
    sys.modules.pop(path, None)
    return importlib.import_module(path)


@pytest.mark.parametrize("old", sorted(moved.MOVED))
def test_every_public_name_of_an_old_module_is_the_very_object_that_it_is_now(old):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        module = importlib.import_module(old) if old in moved.STANDING else imported_anew(old)
        found = {n: getattr(module, n) for n in NAMES[old] if n not in GONE.get(old, ())}
    assert {one.category for one in told} <= {DeprecationWarning}
    # A package above it that nothing has imported yet is told of first.
    said = [str(one.message) for one in told]
    now = f"{old} is now {moved.MOVED[old]}"
    assert old in moved.STANDING or any(now in message for message in said)
    for name, value in found.items():
        home = sys.modules[getattr(value, "__module__", None) or moved.MOVED[old]]
        assert not isinstance(value, type) or getattr(home, value.__name__) is value, name


@pytest.mark.parametrize(
    ("line", "now"),
    [
        ("import scaler.client", "scaler.gateway"),
        ("from scaler.client import TidegateLimit", "scaler.TidegateLimit"),
        ("from scaler.client.middleware import TidegateLimit", "scaler.gateway.middleware"),
        ("from forecaster.series import History", "forecaster.data.series"),
        ("from forecaster import fit_forecaster", "forecaster.train"),
        ("from forecaster.evaluation import SERVED", "forecaster.evaluation.backtest.SERVED"),
        ("from scaler.simulation.settings import ReplaySettings", "scaler.policy.replay_settings"),
        ("from scaler.simulation.contest import Setting", "contest.ContestSetting"),
        ("from scaler.service_policy import ServicePolicy", "scaler.policy.policy.Policy"),
    ],
)
def test_the_warning_names_the_new_path_and_the_release_it_goes_with(line, now):
    for path in [one for one in sys.modules if one in moved.MOVED and one not in moved.STANDING]:
        del sys.modules[path]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        exec(line, {"__name__": "__main__"})
    messages = [str(one.message) for one in told]
    assert any(f"{now}; the old path goes with version 0.3" in one for one in messages), messages
    # It is the user's line that is told of: Python shows such a warning for `__main__` alone.
    assert {one.filename for one in told} == {"<string>"}


def test_the_imports_of_the_first_notebooks_work_in_a_fresh_process():
    lines = f"from forecaster import {', '.join(FACADE)}\n{NOTEBOOKS}"
    run = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", "-c", lines],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "scaler.planner is now scaler.decision.replicas" in run.stderr


def test_the_middleware_by_its_old_path_is_the_one_of_the_new():
    from scaler import TidegateLimit  # noqa: PLC0415 - beside the old one

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert imported_anew("scaler.client").TidegateLimit is TidegateLimit


@pytest.mark.parametrize("old", sorted(moved.MOVED))
def test_no_module_is_hidden_by_an_old_path(old):
    path = ROOT.joinpath(*old.split("."))
    stands = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    assert stands == (old in moved.STANDING)


@pytest.mark.parametrize("old", ["scaler.client", "forecaster.series", "forecaster.evaluation"])
def test_a_name_that_never_was_is_an_error_as_ever(old):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = importlib.import_module(old)
        with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
            _ = module.no_such_name
        with pytest.raises(ImportError):
            importlib.import_module(f"{old}.no_such_module")


def test_a_module_in_a_package_is_found_before_a_former_name():
    """`forecaster.evaluation` was a module with a function `backtest`; import that from the top."""
    from forecaster.evaluation import backtest  # noqa: PLC0415 - what is tested

    assert backtest.__name__ == "forecaster.evaluation.backtest"

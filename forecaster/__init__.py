"""tidegate's forecaster: requests per second of a service, as calibrated quantiles.

The line, one direction: Prometheus -> History -> anchors -> model -> Forecast.

What a notebook needs can be imported from here; each name loads its module when it is first used,
so that the values alone load neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecaster.adapters.registry.loading import load_forecaster
    from forecaster.adapters.tables.history_files import (
        forecast_to_frame,
        history_from_frame,
        history_to_frame,
        read_history,
        write_history,
    )
    from forecaster.data.series import Forecast, History, Series
    from forecaster.data.synthetic import generate_history
    from forecaster.evaluation.backtest import Backtest, backtest
    from forecaster.evaluation.selection import Fitted, fit_forecaster
    from forecaster.models.config import ModelConfig, TrainConfig
    from forecaster.models.forecaster import Forecaster

__version__ = "0.1.0"

__all__ = [
    "Backtest",
    "Fitted",
    "Forecast",
    "Forecaster",
    "History",
    "ModelConfig",
    "Series",
    "TrainConfig",
    "__version__",
    "backtest",
    "fit_forecaster",
    "forecast_to_frame",
    "generate_history",
    "history_from_frame",
    "history_to_frame",
    "load_forecaster",
    "read_history",
    "write_history",
]

_HOMES = {
    "Backtest": "evaluation.backtest",
    "Fitted": "evaluation.selection",
    "Forecast": "data.series",
    "Forecaster": "models.forecaster",
    "History": "data.series",
    "ModelConfig": "models.config",
    "Series": "data.series",
    "TrainConfig": "models.config",
    "backtest": "evaluation.backtest",
    "fit_forecaster": "evaluation.selection",
    "forecast_to_frame": "adapters.tables.history_files",
    "generate_history": "data.synthetic",
    "history_from_frame": "adapters.tables.history_files",
    "history_to_frame": "adapters.tables.history_files",
    "load_forecaster": "adapters.registry.loading",
    "read_history": "adapters.tables.history_files",
    "write_history": "adapters.tables.history_files",
}

if not TYPE_CHECKING:  # for a type checker, a name that is not listed above is an error

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

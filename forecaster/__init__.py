"""tidegate's forecaster: requests per second of a service, as calibrated quantiles.

The line, one direction: Prometheus -> History -> anchors -> model -> Forecast.

What a notebook needs can be imported from here; each name loads its module when it is first used,
so that the values alone load neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecaster.adapters.tables import (
        forecast_to_frame,
        history_from_frame,
        history_to_frame,
        read_history,
        write_history,
    )
    from forecaster.config import ModelConfig, TrainConfig
    from forecaster.evaluation import Backtest, backtest
    from forecaster.fitting import Fitted, fit_forecaster
    from forecaster.predict import load_forecaster
    from forecaster.series import Forecast, History, Series
    from forecaster.serving import Forecaster
    from forecaster.synthetic import generate_history

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
    "Backtest": "evaluation",
    "Fitted": "fitting",
    "Forecast": "series",
    "Forecaster": "serving",
    "History": "series",
    "ModelConfig": "config",
    "Series": "series",
    "TrainConfig": "config",
    "backtest": "evaluation",
    "fit_forecaster": "fitting",
    "forecast_to_frame": "adapters.tables",
    "generate_history": "synthetic",
    "history_from_frame": "adapters.tables",
    "history_to_frame": "adapters.tables",
    "load_forecaster": "predict",
    "read_history": "adapters.tables",
    "write_history": "adapters.tables",
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

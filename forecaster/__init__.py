"""tidegate's forecaster: requests per second of a service, as calibrated quantiles.

The line, one direction: Prometheus -> History -> anchors -> model -> Forecast.

What a notebook needs can be imported from here, whatever module it lives in; each name loads its
module when it is first used, so that the values alone load neither torch nor pandas.

    from forecaster import History, backtest, load_forecaster, train
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from forecaster import moved

if TYPE_CHECKING:
    from forecaster.adapters.registry.loading import load_forecaster
    from forecaster.adapters.tables.history_files import (
        forecast_to_frame,
        history_from_frame,
        history_to_frame,
        read_history,
        write_history,
    )
    from forecaster.data.quality import QualityRules, RawSeries, inspect
    from forecaster.data.series import Forecast, History, Series
    from forecaster.data.synthetic import generate_history
    from forecaster.errors import ForecasterError
    from forecaster.evaluation.backtest import Backtest, backtest
    from forecaster.evaluation.selection import Fitted, train
    from forecaster.models.config import ModelConfig, TrainConfig
    from forecaster.models.forecaster import Forecaster

__version__ = "0.2.0"

__all__ = [
    "Backtest",
    "Fitted",
    "Forecast",
    "Forecaster",
    "ForecasterError",
    "History",
    "ModelConfig",
    "QualityRules",
    "RawSeries",
    "Series",
    "TrainConfig",
    "__version__",
    "backtest",
    "forecast_to_frame",
    "generate_history",
    "history_from_frame",
    "history_to_frame",
    "inspect",
    "load_forecaster",
    "read_history",
    "train",
    "write_history",
]

_HOMES = {
    "adapters.registry.loading": ["load_forecaster"],
    "adapters.tables.history_files": [
        "forecast_to_frame",
        "history_from_frame",
        "history_to_frame",
        "read_history",
        "write_history",
    ],
    "data.quality": ["QualityRules", "RawSeries", "inspect"],
    "data.series": ["Forecast", "History", "Series"],
    "data.synthetic": ["generate_history"],
    "errors": ["ForecasterError"],
    "evaluation.backtest": ["Backtest", "backtest"],
    "evaluation.selection": ["Fitted", "train"],
    "models.config": ["ModelConfig", "TrainConfig"],
    "models.forecaster": ["Forecaster"],
}

if not TYPE_CHECKING:  # for a type checker, a name that is not listed above is an error
    __getattr__, __dir__, _ = lazy_loader.attach(__name__, submod_attrs=_HOMES)
    __getattr__ = moved.old_names(__name__, __getattr__)
    moved.install()

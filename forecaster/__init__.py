"""tidegate's forecaster: requests per second of a service, as calibrated quantiles.

The line, one direction: Prometheus -> History -> anchors -> model -> Forecast.

What a notebook needs can be imported from here, whatever module it lives in; each name loads its
module when it is first used, so that the values alone load neither torch nor pandas.

    from forecaster import Forecaster, History, backtest, train
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from forecaster import moved

if TYPE_CHECKING:
    from forecaster import plots
    from forecaster.adapters.registry.loading import load_forecaster
    from forecaster.adapters.registry.saving import save_forecaster
    from forecaster.adapters.tables.frames import (
        backtest_to_frame,
        describe_history,
        forecast_to_nixtla,
        history_to_nixtla,
    )
    from forecaster.adapters.tables.history_files import (
        forecast_to_frame,
        history_to_frame,
        read_history,
        write_history,
    )
    from forecaster.adapters.tables.history_frames import history_from_frame
    from forecaster.adapters.tables.sources import FileHints
    from forecaster.data.quality import QualityRules, RawSeries, inspect
    from forecaster.data.series import Forecast, History, Series
    from forecaster.data.synthetic import generate_history
    from forecaster.errors import ForecasterError, HistoryError, RegistryError
    from forecaster.evaluation.backtest import Backtest, backtest
    from forecaster.evaluation.selection import Fitted, train
    from forecaster.models.config import ModelConfig, TrainConfig
    from forecaster.models.forecaster import Forecaster
    from forecaster.report.findings import backtest_findings

__version__ = "0.2.0"

__all__ = [
    "Backtest",
    "FileHints",
    "Fitted",
    "Forecast",
    "Forecaster",
    "ForecasterError",
    "History",
    "HistoryError",
    "ModelConfig",
    "QualityRules",
    "RawSeries",
    "RegistryError",
    "Series",
    "TrainConfig",
    "__version__",
    "backtest",
    "backtest_findings",
    "backtest_to_frame",
    "describe_history",
    "forecast_to_frame",
    "forecast_to_nixtla",
    "generate_history",
    "history_from_frame",
    "history_to_frame",
    "history_to_nixtla",
    "inspect",
    "load_forecaster",
    "plots",
    "read_history",
    "save_forecaster",
    "train",
    "write_history",
]

_HOMES = {
    "adapters.registry.loading": ["load_forecaster"],
    "adapters.registry.saving": ["save_forecaster"],
    "adapters.tables.frames": [
        "backtest_to_frame",
        "describe_history",
        "forecast_to_nixtla",
        "history_to_nixtla",
    ],
    "adapters.tables.history_files": [
        "forecast_to_frame",
        "history_to_frame",
        "read_history",
        "write_history",
    ],
    "adapters.tables.history_frames": ["history_from_frame"],
    "adapters.tables.sources": ["FileHints"],
    "data.quality": ["QualityRules", "RawSeries", "inspect"],
    "data.series": ["Forecast", "History", "Series"],
    "data.synthetic": ["generate_history"],
    "errors": ["ForecasterError", "HistoryError", "RegistryError"],
    "evaluation.backtest": ["Backtest", "backtest"],
    "evaluation.selection": ["Fitted", "train"],
    "models.config": ["ModelConfig", "TrainConfig"],
    "models.forecaster": ["Forecaster"],
    "report.findings": ["backtest_findings"],
}

if not TYPE_CHECKING:  # for a type checker, a name that is not listed above is an error
    __getattr__, __dir__, _ = lazy_loader.attach(__name__, ["plots"], _HOMES)
    __getattr__ = moved.old_names(__name__, __getattr__)
    moved.install()

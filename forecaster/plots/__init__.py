"""Figures of histories, forecasts and backtests with plotly: pure functions that return figures.

They are readable at 700 pixels and for colour-blind readers, on light and on dark pages.
Imports evaluation and below; the home of plotly. Used by reports, notebooks and scaler's figures.
"""

from forecaster.plots.forecasts import backtest_fan, fan_chart
from forecaster.plots.scores import (
    coverage_by_minute,
    error_by_horizon,
    error_by_level,
    quantile_cost,
    reliability_diagram,
)
from forecaster.plots.traffic import season_shape, traffic_overview

__all__ = [
    "backtest_fan",
    "coverage_by_minute",
    "error_by_horizon",
    "error_by_level",
    "fan_chart",
    "quantile_cost",
    "reliability_diagram",
    "season_shape",
    "traffic_overview",
]

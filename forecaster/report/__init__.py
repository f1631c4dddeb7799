"""The HTML page of a backtest: what was found in words, tables and figures.

Imports plots and evaluation. Used by the commands; scaler builds its own page from `report.page`.
"""

from forecaster.report.backtest_page import html_report

__all__ = ["html_report"]

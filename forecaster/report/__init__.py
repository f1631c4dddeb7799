"""The HTML page of a backtest in sentences, tables and figures, and the parts of any such page.

Imports plots and evaluation. Used by the commands; scaler builds its own page from `report.page`.
"""

from forecaster.report.backtest_page import html_report

__all__ = ["html_report"]

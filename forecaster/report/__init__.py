"""The HTML page of a backtest: what was found in words, tables and figures."""

from forecaster.report.document import html_report

__all__ = ["html_report"]

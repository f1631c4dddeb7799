"""Histories and forecasts as CSV, Parquet, JSON, OpenMetrics and DataFrames.

`dialects` and `documents` make a frame of a file, `columns` says what its columns hold,
`cells`, `stamps` and `units` what its cells are; `layouts` puts them together.

Imports forecaster.data, and from prometheus how series are named; the home of pandas. Used by the
commands and by notebooks.
"""

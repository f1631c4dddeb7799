"""Histories and forecasts as CSV, Parquet and DataFrames.

Imports forecaster.data; the home of pandas. Used by the commands and by notebooks.
"""

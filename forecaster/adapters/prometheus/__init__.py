"""Histories from Prometheus: one range query, cut into chunks, retried, cached on disk.

Imports forecaster.data; the home of prometheus-api-client. Used by the commands and by scaler.
"""

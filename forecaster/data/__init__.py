"""Histories of traffic: series on a regular grid, data-quality checks, and generated traffic.

Imports forecaster.errors alone. Everything else in both packages starts from these values.
"""

"""Histories of traffic: series on a regular grid, data-quality checks, and generated traffic.

Imports forecaster.errors alone. Used by everything else in both packages.
"""

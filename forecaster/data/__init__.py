"""What a history is: series on a regular grid, their quality checks, and generated ones.

Imports forecaster.errors alone. Used by everything else in both packages.
"""

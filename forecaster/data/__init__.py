"""What a history is: series on a regular grid, their quality checks, and generated ones.

Imports forecaster.errors alone. Everything else in both packages starts from these values.
"""

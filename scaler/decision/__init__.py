"""The algorithm, pure: demand -> capacity -> replicas -> limit; `decide` is its table of contents.

Imports the values of forecaster.data alone. Used by limits, policy, control and simulation.
"""

"""The decision algorithm, pure: demand -> capacity -> replicas -> limit. Start with `decide`.

Imports the values of forecaster.data alone. Used by limits, policy, control and simulation.
"""

"""The replay: a policy on recorded traffic in closed loop, beside other autoscalers.

Imports policy, decision, limits, hpa; forecasts come from forecaster. Used by adapters, commands.
"""

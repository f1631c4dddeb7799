"""The replay: a policy on recorded traffic in closed loop, beside other autoscalers.

Imports adapters.http and gateway (`gateway_replay`), control, policy and below; forecasts come from
forecaster. Used by the commands and, by the names of `scaler`, by notebooks.
"""

"""The limits of gateways, pure: leases, schedules, shares, priority classes, client limits.

Imports decision. Used by policy, control, the gateway in Python and the adapters.
"""

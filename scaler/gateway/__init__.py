"""The gateway for services in Python: admits requests by the leases of tidegate.

Imports scaler.limits, and forecaster's back-off, which needs nothing; the home of httpx. Used by
services in Python (`from scaler import TidegateLimit`, or from `tidegate_client`: client/setup.py
packages what the middleware imports as a small distribution), by the Envoy adapter and by the simulation.
The pure core (`lease_limiter`) needs no HTTP client, and neither does the `poller`.
"""

"""The gateway for services in Python: admits requests by the leases of tidegate.

Imports scaler.limits, and forecaster's back-off, which needs nothing; the home of httpx. Used by
services in Python (`from scaler import TidegateLimit`), by the Envoy adapter and by the simulation.
The pure core (`lease_limiter`) needs no HTTP client, and neither does the `poller`. What the
middleware imports is also packaged alone, as `tidegate_client`, by client/setup.py.
"""

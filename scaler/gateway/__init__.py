"""The gateway in a Python service: admits requests by tidegate's leases.

    from scaler.gateway import TidegateLimit

    app.add_middleware(TidegateLimit, endpoint="http://tidegate-limits:8080", service="prod/shop")

What is imported from here loads its module when it is first used: the pure core
(`scaler.gateway.lease_limiter`) needs nothing but the standard library and
scaler.limits. Used by services in Python, and by the Envoy adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scaler.gateway.middleware import TidegateLimit

__all__ = ["TidegateLimit"]

if not TYPE_CHECKING:  # for a type checker, a name that is not listed above is an error

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from scaler.gateway import middleware  # noqa: PLC0415 - httpx only where it is asked for

        return getattr(middleware, name)

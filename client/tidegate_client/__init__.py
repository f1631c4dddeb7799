"""tidegate in front of a service in Python: no more requests than its limit admits.

    from tidegate_client import TidegateLimit

    app.add_middleware(TidegateLimit, endpoint="http://tidegate:8080", service="shop/checkout")

The packages below are copies of those of the same names in tidegate; `setup.py` makes them.
"""

from tidegate_client.gateway.lease_limiter import LimiterSnapshot
from tidegate_client.gateway.middleware import TidegateLimit, by_address, by_header

__version__ = "0.2.0"

__all__ = ["LimiterSnapshot", "TidegateLimit", "__version__", "by_address", "by_header"]

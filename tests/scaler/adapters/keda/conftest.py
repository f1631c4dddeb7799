"""The certificates of the endpoint's tests."""

from tests.scaler.adapters.http.conftest import certificates

__all__ = ["certificates"]

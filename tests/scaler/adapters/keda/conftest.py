"""Certificates, as the endpoint's tests have them."""

from tests.scaler.adapters.http.conftest import papers

__all__ = ["papers"]

"""Certificates, as the endpoint's tests have them."""

from tests.scaler.adapters.api.conftest import papers

__all__ = ["papers"]

"""Envoy's rate limit protocols, answered from the limits desk. They need the extra `grpc`."""

"""Implementations of the ports: HTTP, Kubernetes, Prometheus, Envoy, KEDA, gRPC, the dashboard.

Imports control, gateway, simulation and below. Used by the commands alone.
"""

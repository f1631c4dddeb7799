"""Implementations of the ports: HTTP, Kubernetes, Prometheus, Envoy, KEDA, gRPC, the dashboard.

Imports control, gateway and below. Used by simulation, commands.
"""

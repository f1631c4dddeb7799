"""Envoy: its rate limit services (RLS and RLQS), answered from leases. Needs the extra `grpc`.

Imports adapters.http for shares, gateway and limits. Used by the commands alone.
"""

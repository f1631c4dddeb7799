"""gRPC beside HTTP: one server for whatever service is added to it. Needs the extra `grpc`.

Imports adapters.http for its access rules. Used by the commands alone.
"""

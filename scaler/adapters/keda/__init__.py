"""KEDA's external scaler: the plan and the demand as metrics that KEDA asks for over gRPC.

Imports adapters.http and below. Used by the commands alone. Needs the extra `grpc`.

trigger  -> what a ScaledObject's trigger says, checked
metric   -> the target and the value that come of it, exact through the autoscaler's arithmetic
service  -> the calls; made to be added to a gRPC server

`externalscaler_pb2` is generated from `externalscaler.proto`, which says how.
"""

"""KEDA's external scaler: the plan and the demand as metrics that KEDA asks for over gRPC.

Imports adapters.http and below. Used by the commands alone. Needs the extra `grpc`.

trigger  -> the metadata of a ScaledObject's trigger, checked
metric   -> the target and the value of the metric, such that the HPA arrives at the plan
service  -> the gRPC service with KEDA's four calls

`externalscaler_pb2` is generated from `externalscaler.proto`, which says how.
"""

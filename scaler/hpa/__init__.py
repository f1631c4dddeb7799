"""The HorizontalPodAutoscaler: its controller's computation, and who owns its `minReplicas`.

Pure; imports nothing of ours. Used by policy, control, simulation and the Kubernetes adapter.
"""

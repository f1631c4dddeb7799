"""The HorizontalPodAutoscaler: what its controller computes, and whose floor it holds.

Pure; imports nothing of ours. Used by policy, control, simulation and the Kubernetes adapter.
"""

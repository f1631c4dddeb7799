"""The outside world: Prometheus, files, the model registry. One home per library."""

"""Stored models and training checkpoints: written atomically, checked byte by byte, never executed.

Imports forecaster.models; the home of safetensors and fsspec. Used by the commands and by scaler.
"""

"""What touches the outside: Prometheus, files of tables, and the registry of stored models.

Imports models and data, never evaluation. Used by the commands, and by the adapters of scaler.
"""

"""One module per subcommand of `scaler`: its options, and what it wires together.

Imports everything below. Used by scaler.cli alone.
"""

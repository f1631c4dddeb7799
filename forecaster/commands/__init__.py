"""One module per subcommand of `forecaster`: its options, and what it prints.

Imports everything below. Used by forecaster.cli; scaler.commands shares its options.
"""

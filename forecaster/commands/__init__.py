"""One module per subcommand of `forecaster`: its options, and what it prints.

Imports everything below; nothing but forecaster.cli imports a command. scaler shares its options.
"""

"""The subcommands of `forecaster`: one module each, imported only when called."""

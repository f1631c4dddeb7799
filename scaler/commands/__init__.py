"""The subcommands of `scaler`: one module each, imported only when called."""

"""The `forecaster` command and its subcommands."""

from __future__ import annotations

from collections.abc import Sequence

from forecaster.commands.command_line import CommandLine
from forecaster.errors import ForecasterError

COMMAND_LINE = CommandLine(
    prog="forecaster",
    description="Forecast requests per second from a Prometheus history, as quantiles.",
    commands={
        "fetch": "download a history from Prometheus into a Parquet file",
        "check": "inspect a history and print what is wrong with it",
        "generate": "write a generated history, for demos and tests, not for accuracy",
        "train": "fit, calibrate and store a forecaster",
        "evaluate": "backtest a stored forecaster beside the baselines",
        "predict": "print or write the forecast for the next steps",
        "models": "list, show, promote and roll back stored forecasters",
    },
    errors=(ForecasterError,),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its exit code."""
    return COMMAND_LINE.main(argv)


if __name__ == "__main__":
    raise SystemExit(main())

"""The `scaler` command and its subcommands."""

from __future__ import annotations

from collections.abc import Sequence

from forecaster.commands.command_line import CommandLine
from forecaster.errors import ForecasterError
from scaler.errors import ScalerError

COMMAND_LINE = CommandLine(
    prog="scaler",
    description="Turn forecast demand into a replica floor and a rate limit.",
    commands={
        "replay": "run a policy over recorded traffic, beside your autoscaler",
        "tune": "choose a policy's settings by its own past, and what they cost",
        "run": "watch policies, decide every tick, set floors, serve rate limits",
        "get": "print policies, limits or forecasts, as kubectl prints objects",
        "why": "say why a service is decided on as it is, step by step",
        "rls": "answer an Envoy on the same host, by leases fetched over HTTP",
        "demo": "run the control loop in a simulated cluster, at high speed",
        "check-config": "validate policy files and name all that is wrong with them",
        "crd": "print the CustomResourceDefinition of DemandPolicy",
        "files": "write the manifests, gateways, examples and small model inside",
        "restore": "put back the floor of every autoscaler that tidegate has raised",
    },
    errors=(ScalerError, ForecasterError),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its exit code."""
    return COMMAND_LINE.main(argv)


if __name__ == "__main__":
    raise SystemExit(main())

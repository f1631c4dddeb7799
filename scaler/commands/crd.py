"""`scaler crd`: print the CustomResourceDefinition of DemandPolicy."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "nothing is contacted and nothing is written.\n\n"
        "example:\n"
        "  scaler crd | kubectl apply --server-side -f -"
    )


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command is called with its options
    from scaler.policy.crd import crd_yaml

    print(crd_yaml(), end="")
    return 0

"""`scaler crd`: print the CustomResourceDefinition of DemandPolicy."""

from __future__ import annotations

import argparse

from forecaster.commands.documents import JSON, YAML, print_document


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", choices=(JSON, YAML), default=YAML, help="default %(default)s"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "nothing is contacted and nothing is written.\n\n"
        "example:\n"
        "  scaler crd | kubectl apply --server-side -f -"
    )


def run(args: argparse.Namespace) -> int:
    from scaler.policy.crd import crd, crd_yaml

    if args.output == JSON:
        print_document(crd(), JSON)
    else:
        print(crd_yaml(), end="")
    return 0

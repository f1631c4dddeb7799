"""The options that say which stored forecaster is meant."""

from __future__ import annotations

import argparse


def add_stored_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--models``, ``--name`` and ``--version``."""
    parser.add_argument(
        "--models", metavar="PATH", default="models/", help="registry (%(default)s)"
    )
    parser.add_argument("--name", required=True, help="name of the forecaster in the registry")
    parser.add_argument("--version", help="such as v0003 (default: the champion)")

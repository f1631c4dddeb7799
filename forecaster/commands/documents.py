"""The option ``--output``, and the JSON and YAML documents that it asks for in place of a table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

TABLE, JSON, YAML = "table", "json", "yaml"


def add_output_argument(parser: argparse._ActionsContainer) -> None:
    """Add ``-o``, ``--output``."""
    parser.add_argument(
        "-o",
        "--output",
        choices=(TABLE, JSON, YAML),
        default=TABLE,
        help="how the result is printed (default %(default)s)",
    )


def add_json_argument(parser: argparse._ActionsContainer) -> None:
    """Add ``-o``, and ``--json``, which commands had before it."""
    add_output_argument(parser)
    parser.add_argument(
        "--json", dest="output", action="store_const", const=JSON, help="the same as -o json"
    )


def print_document(value: Mapping[str, object] | Sequence[object], form: str) -> None:
    """Print plain values; a number that is not finite is a mistake of the caller's."""
    text = json.dumps(value, indent=2, allow_nan=False)
    if form == JSON:
        print(text)
        return
    import yaml

    # By way of JSON, which has plain values alone: a tuple is a list.
    print(yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True), end="")

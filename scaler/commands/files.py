"""`scaler files`: write what comes along with the code, for who has no checkout."""

from __future__ import annotations

import argparse
from pathlib import Path

from scaler.errors import FilesError

NAMED = 5  # files that a refusal lists


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="where to write; made if necessary"
    )
    parser.add_argument("--force", action="store_true", help="replace files that are different")
    parser.epilog = (
        "DIR/deploy has the manifests, the Grafana dashboard and the gateways' files,\n"
        "DIR/examples policies, and DIR/models/pretrained a model to try commands with.\n"
        "Files that are the same already are left; where one is different, nothing is\n"
        "written without --force.\n\n"
        "example:\n"
        "  scaler files tidegate && kubectl apply -k tidegate/deploy/overlays/example"
    )


def run(args: argparse.Namespace) -> int:
    from forecaster.commands.output_files import write_file
    from scaler.adapters.shipped_files import shipped_files

    new = {
        path: content
        for path, content in shipped_files().items()
        if _present(args.folder / path) != content
    }
    in_the_way = [path for path in new if (args.folder / path).exists()]
    if in_the_way and not args.force:
        more = f" and {len(in_the_way) - NAMED} more" if len(in_the_way) > NAMED else ""
        raise FilesError(
            f"{args.folder} has files that are different: {', '.join(in_the_way[:NAMED])}{more}; "
            "nothing was written. Name another folder, or replace them by --force"
        )
    for path, content in new.items():
        write_file(args.folder / path, "DIR", content)
        print(path)
    print(f"{len(new)} files were written to {args.folder}.")
    return 0


def _present(path: Path) -> bytes | None:
    """Return the content of a file; None: there is none, or it cannot be read as one."""
    try:
        return path.read_bytes()
    except OSError:
        return None

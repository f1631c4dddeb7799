"""Completion of a command in a shell, from its own parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

SHELLS = ("bash", "zsh", "tcsh")


class PrintCompletion(argparse.Action):
    """Prints what a shell sources to complete the command, and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - every action is called with it
        values: str | Sequence[object] | None,
        option_string: str | None = None,  # noqa: ARG002 - as above
    ) -> None:
        import shtab

        for action in (action for one in parsers_of(parser) for action in one._actions):
            if isinstance(action, argparse._SubParsersAction):
                _describe(action)
            elif action.type is Path:
                folder = str(action.metavar).startswith("DIR")
                action.complete = shtab.DIRECTORY if folder else shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, str(values)))
        parser.exit()


def _describe(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Give each subcommand its description as help: what has none is not completed."""
    subparsers._choices_actions[:] = [
        subparsers._ChoicesPseudoAction(name, (), sub.description or name)
        for name, sub in subparsers.choices.items()
    ]


def parsers_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its subcommands, to any depth."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from parsers_of(sub)

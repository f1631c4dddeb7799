"""The frame of a command: its parser, its log, and what ends it with which exit code.

Only argparse is loaded to answer `--help`; a subcommand's module loads what it needs when it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NoReturn

from forecaster import __version__
from forecaster.commands.completion import SHELLS, PrintCompletion, parsers_of
from forecaster.commands.log_lines import log_to_stderr, printable_lines

WRONG = 2
# As a shell reports a process that ended by a signal: 128 and its number.
INTERRUPTED = 128 + 2  # SIGINT
OUTPUT_CLOSED = 128 + 13  # SIGPIPE
# What no command looks for by itself, and what to do.
REMEDIES = {
    errno.ENOSPC: "free some, or write elsewhere",
    errno.EDQUOT: "free some, or write elsewhere",
    errno.ENAMETOOLONG: "give a shorter name",
}
SHOWN = 200  # characters of one word in a message


@dataclass(frozen=True)
class CommandLine:
    """A command with subcommands.

    Attributes:
        prog: name of the command, and of the package whose ``commands`` hold a module for each
            subcommand: ``add_arguments(parser)`` and ``run(args)``, which returns the exit code.
        description: what the command is for.
        commands: each subcommand, and what it does.
        errors: raised where the user can act on the message.
    """

    prog: str
    description: str
    commands: Mapping[str, str]
    errors: tuple[type[Exception], ...]

    def parser(self) -> argparse.ArgumentParser:
        """Return the whole parser; the options of a subcommand are added by its module."""
        width = max(map(len, self.commands))
        table = "\n".join(f"  {name:{width}}  {does}" for name, does in self.commands.items())
        parser = _Parser(
            prog=self.prog,
            description=self.description,
            epilog=f"commands:\n{table}\n\n"
            f"'{self.prog} COMMAND --help' lists the options of a command.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
        parser.add_argument(
            "--print-completion",
            action=PrintCompletion,
            choices=SHELLS,
            help="print what completes this command in a shell, and exit",
        )
        parser.set_defaults(verbose=0, quiet=False)
        commands = parser.add_subparsers(
            dest="command", metavar="COMMAND", required=True, help="one of those below"
        )
        for name, does in self.commands.items():
            sub = commands.add_parser(name, description=f"{does[:1].upper()}{does[1:]}.")
            self._module(name).add_arguments(sub)
        for one in parsers_of(parser):
            one.set_defaults(parser=one)  # the innermost one that was called is what remains
            _add_volume_arguments(one)
        return parser

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run one subcommand and return the exit code.

        0: done; 2: an error that the user can act on was printed; 130: interrupted; 141: whoever
        read the output, such as ``head``, has closed it.
        """
        _escape_what_cannot_be_encoded()
        try:
            try:
                return self._run(self._arguments(argv))
            finally:
                # While a closed pipe can still be handled: at exit it would be a traceback.
                print(end="", flush=True)
        except BrokenPipeError:
            _discard_output()
            return OUTPUT_CLOSED
        except KeyboardInterrupt:
            print(f"{self.prog}: interrupted", file=sys.stderr)
            return INTERRUPTED
        except OSError as error:
            if error.errno not in REMEDIES:
                raise
            print(f"{self.prog}: {error.strerror}; {REMEDIES[error.errno]}", file=sys.stderr)
            if error.errno != errno.ENAMETOOLONG:
                _discard_output()
            return WRONG

    def _arguments(self, argv: Sequence[str] | None) -> argparse.Namespace:
        args, unknown = self.parser().parse_known_args(argv)
        if unknown:  # argparse would show the usage of the whole command
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        return args

    def _run(self, args: argparse.Namespace) -> int:
        # Threads that wait by spinning stall each other where cores are shared or capped, as in a
        # pod. It is read when torch is loaded.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # noqa: TID251
        log_to_stderr(_log_level(args))
        try:
            with _notes_left_out() if args.quiet else contextlib.nullcontext():
                return int(self._module(args.command).run(args))
        except self.errors as error:
            print(
                f"{self.prog} {args.command}: {shortened(printable_lines(str(error)))}",
                file=sys.stderr,
            )
            return WRONG
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in {"", "forecaster", "scaler"}:
                raise
            print(
                f"{self.prog} {args.command}: {missing} is not installed, but tidegate needs it; "
                "install again what is missing: pip install tidegate",
                file=sys.stderr,
            )
            return WRONG
        except KeyboardInterrupt:
            print(f"{self.prog} {args.command}: interrupted", file=sys.stderr)
            return INTERRUPTED

    def _module(self, command: str) -> ModuleType:
        return importlib.import_module(f"{self.prog}.commands.{command.replace('-', '_')}")


class _Parser(argparse.ArgumentParser):
    """A parser that quotes no more of what it is given than other messages do."""

    def error(self, message: str) -> NoReturn:
        super().error(shortened(message))


def shortened(message: str) -> str:
    """Return a message whose words have at most `SHOWN` characters; what follows them is left out.

    >>> len(shortened(f"--step is {'x' * 5000}, but must be a duration"))
    236
    """
    return re.sub(rf"(\S{{{SHOWN}}})\S+", r"\1...", message)


def _add_volume_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--verbose`` and ``--quiet``; before a subcommand or behind it they say the same."""
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument(
        "-v", "--verbose", action="count", default=argparse.SUPPRESS,
        help="log what is done to stderr; twice: with every detail",
    )  # fmt: skip
    volume.add_argument(
        "-q", "--quiet", action="store_true", default=argparse.SUPPRESS,
        help="print nothing but results and errors",
    )  # fmt: skip


def _log_level(args: argparse.Namespace) -> int:
    if args.quiet:
        return logging.ERROR
    return (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]


@contextlib.contextmanager
def _notes_left_out() -> Iterator[None]:
    """Leave out what a command tells on stderr beside its results; the log keeps the stream."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: PTH123
        yield


def _escape_what_cannot_be_encoded() -> None:
    """Print characters that the encoding of stdout lacks as escapes; stderr does so by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Send what is still in the buffers nowhere, so that Python's own flush at exit succeeds."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())

"""What both commands promise alike: help, version, exit codes, and a quiet end in a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import forecaster.cli
import scaler.cli
from forecaster import __version__
from forecaster.commands.command_line import CommandLine
from tests.paths import ROOT

FORECASTER, SCALER = forecaster.cli.COMMAND_LINE, scaler.cli.COMMAND_LINE
BOTH = pytest.mark.parametrize("command_line", [FORECASTER, SCALER], ids=lambda one: one.prog)
BUFFERED_PYTHON = ("env", "-u", "PYTHONUNBUFFERED", sys.executable)
HISTORY = "timestamp,qps\n" + "".join(
    f"2026-03-02T{i // 60:02}:{i % 60:02}:00Z,{i + 1}\n" for i in range(120)
)


def exit_of(command_line: CommandLine, argv: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        command_line.main(argv)
    return stop.value.code


@BOTH
def test_help_names_every_subcommand_with_what_it_does(command_line, capsys):
    code, shown = exit_of(command_line, ["--help"]), capsys.readouterr().out

    assert code == 0
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    assert [list(one) for one in command_line.commands.items() if list(one) not in lines] == []


@pytest.mark.parametrize(
    ("command_line", "command"),
    [(one, command) for one in (FORECASTER, SCALER) for command in one.commands],
    ids=lambda value: value if isinstance(value, str) else value.prog,
)
def test_each_subcommand_explains_itself(command_line, command, capsys):
    code, shown = exit_of(command_line, [command, "--help"]), capsys.readouterr().out

    assert code == 0
    assert shown.startswith(f"usage: {command_line.prog} {command}")


def test_the_description_of_a_subcommand_keeps_its_capitals(capsys):
    exit_of(FORECASTER, ["fetch", "--help"])

    assert "Download a history from Prometheus into a Parquet file." in capsys.readouterr().out


@BOTH
def test_the_version_is_that_of_the_distribution(command_line, capsys):
    assert exit_of(command_line, ["--version"]) == 0
    assert capsys.readouterr().out == f"{command_line.prog} {__version__}\n"


@pytest.mark.parametrize(
    ("command_line", "argv", "words"),
    [
        pytest.param(FORECASTER, [], "COMMAND", id="no command"),
        pytest.param(FORECASTER, ["forecast"], "'forecast'", id="unknown command"),
        pytest.param(
            FORECASTER,
            ["check", "--history", "a.csv", "--service", "b"],
            "--service",
            id="no option",
        ),
        pytest.param(
            FORECASTER, ["generate", "--out", "a.parquet", "--items", "x"], "'x'", id="no number"
        ),
        pytest.param(SCALER, ["check-config"], "PATH", id="no file"),
        pytest.param(SCALER, ["check-config", "a.yaml", "--strict"], "--strict", id="a flag"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(command_line, argv, words, capsys):
    code, shown = exit_of(command_line, argv), capsys.readouterr().err

    assert code == 2
    assert words in shown


@pytest.mark.parametrize("buffering", [[], ["-u"]], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["forecaster", "models", "list", "--json"], id="one line"),
        pytest.param(
            ["forecaster", "models", "show", "tiny", "--json", "--models", f"{ROOT}/models"],
            id="more than a buffer holds",
        ),
        pytest.param(["forecaster", "check", "--history", "history.csv"], id="a table"),
        pytest.param(["scaler", "crd"], id="scaler"),
    ],
)
def test_a_reader_that_has_closed_the_pipe_ends_the_command_quietly(argv, buffering, tmp_path):
    """As a shell reports a program that SIGPIPE ends: `forecaster models list | head -1`."""
    (tmp_path / "history.csv").write_text(HISTORY)

    done = with_nobody_reading(argv, tmp_path, buffering)

    assert (done.returncode, done.stderr) == (141, "")


@BOTH
def test_help_that_nobody_reads_ends_quietly_too(command_line, tmp_path):
    done = with_nobody_reading([command_line.prog, "--help"], tmp_path)

    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_that_nobody_reads_ends_the_command_quietly_too(tmp_path):
    argv = ["forecaster", "check", "--history", "no.csv"]
    done = with_nobody_reading(argv, tmp_path, errors_too=True)

    assert done.returncode == 141


def with_nobody_reading(
    argv: list[str], folder: Path, buffering: Sequence[str] = (), *, errors_too: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command whose output, and with ``errors_too`` its errors, go to a pipe nobody reads."""
    program, *arguments = argv
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [*BUFFERED_PYTHON, *buffering, "-m", f"{program}.cli", *arguments],
            cwd=folder,
            stdout=writer,
            stderr=writer if errors_too else subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)

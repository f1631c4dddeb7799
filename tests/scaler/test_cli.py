"""The `scaler` command as a whole; tests/scaler/commands holds each subcommand."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from forecaster import __version__
from scaler.cli import COMMANDS, main


def exit_of(argv: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    return stop.value.code


def test_help_names_every_subcommand_with_what_it_does(capsys):
    code, shown = exit_of(["--help"]), capsys.readouterr().out

    assert code == 0
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    assert [name for name, summary in COMMANDS.items() if [name, summary] not in lines] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_subcommand_explains_itself(command, capsys):
    code, shown = exit_of([command, "--help"]), capsys.readouterr().out

    assert code == 0
    assert shown.startswith(f"usage: scaler {command}")


def test_the_version_is_that_of_the_distribution(capsys):
    assert exit_of(["--version"]) == 0
    assert capsys.readouterr().out == f"scaler {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        pytest.param([], "COMMAND", id="no command"),
        pytest.param(["scale"], "'scale'", id="unknown command"),
        pytest.param(["check-config"], "PATH", id="no file"),
        pytest.param(["check-config", "a.yaml", "--strict"], "--strict", id="no such option"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(argv, words, capsys):
    code, shown = exit_of(argv), capsys.readouterr().err

    assert code == 2
    assert words in shown


def test_an_error_that_the_user_can_act_on_is_one_message_and_exit_code_2(tmp_path, capsys):
    missing = tmp_path / "missing.yaml"

    code, shown = main(["check-config", str(missing)]), capsys.readouterr().err

    assert code == 2
    assert shown.startswith(f"scaler check-config: {missing} does not exist")
    assert "Traceback" not in shown


def test_an_error_of_the_forecaster_is_told_in_the_same_way(tmp_path, capsys):
    policy, history = tmp_path / "policy.yaml", tmp_path / "history.csv"
    policy.write_text(
        "apiVersion: tidegate.dev/v1alpha1\nkind: DemandPolicy\n"
        "metadata: {namespace: shop, name: checkout}\n"
        "spec: {capacity: {requestsPerReplica: 50}, replicas: {max: 10}}\n"
    )

    code = main(["replay", "--policy", str(policy), "--history", str(history)])
    shown = capsys.readouterr().err

    assert code == 2
    assert shown.startswith("scaler replay: ")
    assert str(history) in shown


def test_help_loads_no_framework():
    code = (
        "import contextlib, io, sys; from scaler.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print({'numpy', 'pandas', 'pydantic', 'sklearn', 'torch', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_an_interrupt_ends_without_a_traceback_and_exit_code_130(tmp_path):
    fifo = tmp_path / "policy.yaml"
    os.mkfifo(fifo)  # a reader waits until somebody writes
    command = [sys.executable, "-m", "scaler.cli", "check-config", str(fifo)]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background has them ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads
    ) as process:
        writer = None
        while writer is None and process.poll() is None:  # opens as soon as the command reads
            with contextlib.suppress(OSError):
                writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        process.send_signal(signal.SIGINT)
        if writer is not None:
            # It may have come just before the command waits: then the end of the file wakes it.
            os.close(writer)
        _, shown = process.communicate()

    assert process.returncode == 130
    assert shown == "scaler check-config: interrupted\n"

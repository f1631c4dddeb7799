"""The `forecaster` command as a whole; tests/forecaster/commands holds each subcommand."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

from forecaster.cli import main
from tests.waiting import PATIENCE_S


def test_an_error_that_the_user_can_act_on_is_one_message_and_exit_code_2(tmp_path, capsys):
    missing = tmp_path / "missing.parquet"

    code, shown = main(["check", "--history", str(missing)]), capsys.readouterr().err

    assert code == 2
    assert shown.startswith("forecaster check: ")
    assert str(missing) in shown
    assert "Traceback" not in shown


def test_an_interrupt_ends_without_a_traceback_and_exit_code_130(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        what = ["--prometheus", url, "--query", "up", "--no-cache", "--out", "history.parquet"]
        command = [sys.executable, "-m", "forecaster.cli", "fetch", *what]
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that starts the tests in the background has them ignore interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads
        ) as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
            # It may have come just before the command waits: then the end of the line wakes it.
            _, shown = process.communicate()

    assert process.returncode == 130
    assert shown == "forecaster fetch: interrupted\n"

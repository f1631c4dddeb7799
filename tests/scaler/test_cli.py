"""The `scaler` command as a whole; tests/scaler/commands holds each subcommand."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from scaler.cli import main


def test_an_error_that_the_user_can_act_on_is_one_message_and_exit_code_2(tmp_path, capsys):
    missing = tmp_path / "missing.yaml"

    code, shown = main(["check-config", str(missing)]), capsys.readouterr().err

    assert code == 2
    assert shown.startswith(f"scaler check-config: {missing} does not exist")
    assert "Traceback" not in shown


def test_an_error_of_the_forecaster_is_printed_in_the_same_way(tmp_path, capsys):
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

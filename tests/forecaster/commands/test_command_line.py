"""What both commands promise alike: help, version, exit codes, and a quiet end in a pipe."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

import forecaster.cli
import scaler.cli
from forecaster import __version__
from forecaster.commands.command_line import CommandLine
from forecaster.commands.completion import parsers_of
from tests.paths import ROOT

FORECASTER, SCALER = forecaster.cli.COMMAND_LINE, scaler.cli.COMMAND_LINE
BOTH = pytest.mark.parametrize("command_line", [FORECASTER, SCALER], ids=lambda one: one.prog)
BUFFERED_PYTHON = ("env", "-u", "PYTHONUNBUFFERED", sys.executable)
POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: shop, name: checkout}
spec: {capacity: {requestsPerReplica: 50}, replicas: {max: 10}}
"""
# A gap that is noted.
GAPPY = "".join(
    f"2026-03-02T{i // 60:02}:{i % 60:02}:00Z,{50 + i % 7}\n" for i in range(120) if i // 10 != 5
)
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


@BOTH
def test_no_help_is_wider_than_80_columns(command_line, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    helps = [one.format_help() for one in parsers_of(command_line.parser())]
    assert [line for text in helps for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["--help"], id="help"),
        pytest.param(["models", "list", "--models", "none"], id="a result"),
    ],
)
def test_a_full_disk_is_told_without_a_traceback(argv):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*BUFFERED_PYTHON, "-m", "forecaster", *argv],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
    told = "forecaster: No space left on device; free some, or write elsewhere\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_what_the_terminal_cannot_show_is_escaped(tmp_path):
    history = tmp_path / "history.csv"
    history.write_text(
        "item_id,timestamp,qps\n"
        + "".join(f"shop/\u670d,2026-03-02T00:{i:02}:00Z,{i + 1}\n" for i in range(60)),
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "forecaster", "check", "--history", str(history)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},  # noqa: TID251 - of the process that runs it
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert r"shop/\u670d" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command_line", "argv", "words"),
    [
        pytest.param(FORECASTER, ["check", "--history", "x" * 5000], "too long", id="a path"),
        pytest.param(
            SCALER, ["run", "--prometheus", "u", "--tick", "x" * 5000], "...", id="a span"
        ),
        pytest.param(
            FORECASTER, ["generate", "--days", "99999999", "--out", "a.parquet"],
            "--days is 99999999, but must be at most 3660", id="a number",
        ),
        pytest.param(
            SCALER, ["replay", "--history", "a", "--policy", "b", "--from", "soon"],
            "--from is 'soon', but must be", id="a moment",
        ),
    ],
)  # fmt: skip
def test_what_is_absurd_is_refused_at_once_and_quoted_in_part(command_line, argv, words, capsys):
    assert command_line.main(argv) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert len(shown) < 500


def test_a_usage_error_quotes_in_part(capsys):
    assert exit_of(SCALER, ["get", "x" * 5000]) == 2
    assert len(capsys.readouterr().err) < 1000


class Interrupting(CommandLine):
    """Is interrupted while its parser is made."""

    def parser(self) -> argparse.ArgumentParser:
        raise KeyboardInterrupt


def test_an_interrupt_before_the_command_begins_ends_alike(capsys):
    command = Interrupting("forecaster", "", {}, ())
    assert command.main([]) == 130
    assert capsys.readouterr().err == "forecaster: interrupted\n"


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


@pytest.mark.parametrize(
    ("command_line", "argv", "usage"),
    [
        pytest.param(
            FORECASTER, ["check", "--histry", "a.csv"], "usage: forecaster check [", id="a typo"
        ),
        pytest.param(
            FORECASTER,
            ["check", "--history", "a.csv", "--service", "b"],
            "usage: forecaster check [",
            id="an option of another command",
        ),
        pytest.param(
            FORECASTER, ["models", "list", "web"], "usage: forecaster models list [", id="an action"
        ),
        pytest.param(SCALER, ["crd", "--strict"], "usage: scaler crd [", id="scaler"),
        pytest.param(SCALER, ["--strict", "crd"], "usage: scaler crd [", id="before the command"),
    ],
)
def test_a_usage_error_shows_the_usage_of_the_subcommand(command_line, argv, usage, capsys):
    code, shown = exit_of(command_line, argv), capsys.readouterr().err

    assert code == 2
    assert shown.startswith(usage)


@BOTH
def test_a_command_is_run_as_a_module_too(command_line):
    done = subprocess.run(
        [sys.executable, "-m", command_line.prog, "--version"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip

    assert done.stdout == f"{command_line.prog} {__version__}\n"


@BOTH
@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_what_completes_a_command_names_each_subcommand(command_line, shell, capsys):
    code, shown = exit_of(command_line, ["--print-completion", shell]), capsys.readouterr().out

    assert code == 0
    assert [name for name in command_line.commands if name not in shown] == []


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        pytest.param(["forecaster", "ev"], {"evaluate"}, id="a subcommand"),
        pytest.param(["forecaster", "models", "ro"], {"rollback"}, id="an action"),
        pytest.param(["scaler", "run", "--no-c"], {"--no-cluster"}, id="an option"),
        pytest.param(["scaler", "run", "--log-format", ""], {"text", "json"}, id="a value"),
        pytest.param(["scaler", "crd", "-o", "y"], {"yaml"}, id="a form"),
        pytest.param(["scaler", "rls", "--token-file", "tok"], {"tokens.txt"}, id="a file"),
    ],
)
def test_bash_completes(words, completed, tmp_path):
    (tmp_path / "tokens.txt").write_text("")
    script = f"""
        set +o nounset
        source <({sys.executable} -m {words[0]} --print-completion bash)
        COMP_WORDS=({" ".join(word or "''" for word in words)}) COMP_CWORD={len(words) - 1}
        COMP_LINE="{" ".join(words)}" COMP_POINT=${{#COMP_LINE}}
        $(complete -p {words[0]} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {words[0]} "{words[-1]}" ""
        printf '%s\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # noqa: TID251 - of the process that runs it
    )  # fmt: skip

    assert set(done.stdout.split()) == completed


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["forecaster", "models", "list", "--models", f"{ROOT}/models"], id="list"),
        pytest.param(
            ["forecaster", "models", "show", "pretrained", "--models", f"{ROOT}/models"], id="show"
        ),
        pytest.param(["forecaster", "check", "--history", "history.csv"], id="check"),
        pytest.param(["scaler", "crd"], id="crd"),
    ],
)
def test_a_document_is_the_same_as_json_and_as_yaml(argv, tmp_path, monkeypatch, capsys):
    (tmp_path / "history.csv").write_text("timestamp,qps\n" + GAPPY)
    monkeypatch.chdir(tmp_path)
    command_line = {"forecaster": FORECASTER, "scaler": SCALER}[argv[0]]

    def said(form: str) -> str:
        assert command_line.main([*argv[1:], "-o", form]) == 0
        return capsys.readouterr().out

    as_json = said("json")
    assert json.loads(as_json) == yaml.safe_load(said("yaml"))
    if argv[0] == "forecaster":
        assert command_line.main([*argv[1:], "--json"]) == 0
        assert capsys.readouterr().out == as_json


NOWHERE = ["--prometheus", "http://127.0.0.1:1", "--query", "up", "--out", "h.parquet"]


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        pytest.param([], {"WARNING"}, id="warnings"),
        pytest.param(["-q"], set(), id="quiet"),
        pytest.param(["--quiet"], set(), id="quiet, in full"),
    ],
)
@pytest.mark.parametrize("place", [0, 1], ids=["before the command", "behind it"])
def test_quiet_leaves_nothing_but_results_and_errors(options, levels, place, tmp_path):
    argv = ["fetch", *NOWHERE, "--retries", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "forecaster", *argv[:place], *options, *argv[place:]],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # noqa: TID251 - of the process that runs it
    )  # fmt: skip

    *log, error = done.stderr.splitlines()
    assert done.returncode == 2
    assert error.startswith("forecaster fetch: http://127.0.0.1:1")
    assert {line.split()[2] for line in log} == levels


def test_quiet_leaves_out_what_is_told_beside_the_result(tmp_path, capsys):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    (tmp_path / "history.csv").write_text("timestamp,qps\n" + GAPPY)
    argv = ["replay", "--policy", str(policy), "--history", str(tmp_path / "history.csv")]
    loud = SCALER.main(argv), capsys.readouterr().err.splitlines()
    quiet = SCALER.main([*argv, "-q"]), capsys.readouterr().err.splitlines()

    assert loud[0] == quiet[0] == 2
    assert "on data quality" in " ".join(loud[1])
    assert quiet[1] == loud[1][-len(quiet[1]) :]
    assert "on data quality" not in " ".join(quiet[1])


@BOTH
def test_quiet_and_verbose_exclude_each_other(command_line, capsys):
    assert exit_of(command_line, [next(iter(command_line.commands)), "-q", "-v"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize("buffering", [[], ["-u"]], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["forecaster", "models", "list", "--json"], id="one line"),
        pytest.param(
            ["forecaster", "models", "show", "pretrained", "--json", "--models", f"{ROOT}/models"],
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

"""`scaler replay --journal`: an operator's question is answered from a journal alone."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest

from scaler.adapters.journal.reading import read_journal
from scaler.cli import main
from scaler.commands.replay_journal import moment_of
from scaler.commands.run_journal import size_of
from scaler.errors import PolicyError
from tests.scaler.adapters.journal.recorded import START


@pytest.fixture
def folder(recorded):
    return recorded


def printed(capsys, *options):
    code = main(["replay", *options])
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), " ".join(captured.err.split())


def test_without_a_question_it_tells_what_the_journal_holds(folder, capsys):
    code, out, _ = printed(capsys, "--journal", str(folder))
    assert code == 0
    assert "prod/plain" in out
    assert "60 ticks from 2026-03-02T09:00:00Z" in out
    assert "0 differences" in out


def test_of_a_service_it_tells_when_the_decisions_changed(folder, capsys):
    code, out, _ = printed(capsys, "--journal", str(folder), "--service", "prod/plain")
    assert code == 0
    assert "2026-03-02T09:00:00Z" in out
    assert "floor" in out


def test_why_it_did_that_at_a_time_is_told_in_words(folder, capsys):
    options = ("--journal", str(folder), "--service", "prod/plain")
    # Gateways ask now and then: the first minute in which one did.
    for minute in range(1, 15):
        code, out, _ = printed(capsys, *options, "--at", f"09:{minute:02}")
        assert code == 0
        if "gw-" in out:
            break
    assert "Tick" in out
    assert "Pods:" in out
    assert "The plan is" in out
    assert "Gateways may admit" in out
    assert "gw-" in out  # the leases of that half minute
    assert "0 differences" in out


def test_of_a_moment_it_tells_of_all_services(folder, capsys):
    code, out, _ = printed(capsys, "--journal", str(folder), "--at", "2026-03-02T09:05:00Z")
    assert code == 0
    assert "prod/plain" in out
    assert "prod/rich" in out


def test_only_the_files_about_that_moment_are_replayed(folder, capsys):
    _, out, _ = printed(capsys, "--journal", str(folder), "--at", "09:12")
    ticks = int(out.partition(" ticks from")[0].rpartition(" ")[2])
    assert 0 < ticks < 60


def test_what_comes_out_otherwise_is_told_with_exit_code_1(folder, tmp_path, capsys):
    for path in folder.glob("*.gz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first = min(tmp_path.glob("*.gz"))
    lines = gzip.decompress(first.read_bytes()).splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith(b'{"k":"decide"'))
    plain = json.loads(lines[place])
    plain["items"]["prod/plain"]["floor"] = 59
    lines[place] = json.dumps(plain).encode()
    first.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    code, out, _ = printed(capsys, "--journal", str(tmp_path))
    assert code == 1
    assert "tick 1: prod/plain: floor was 59, is" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param((), "--history and --policy must be given, or else --journal", id="nothing"),
        pytest.param(("--history", "x.csv"), "--policy must be given", id="half of it"),
        pytest.param(
            ("--history", "x", "--policy", "y", "--at", "03:12"),
            "--at is of a --journal",
            id="both",
        ),
        pytest.param(
            ("--journal", "{folder}", "--history", "x"), "--journal and --history exclude", id="two"
        ),
        pytest.param(("--journal", "{folder}/no"), "is no folder", id="no folder"),
        pytest.param(
            ("--journal", "{folder}", "--service", "prod/shup"),
            "no service 'prod/shup' was watched then; there was prod/",
            id="no such service",
        ),
        pytest.param(
            ("--journal", "{folder}", "--at", "2026-03-01T00:00:00Z"),
            "--at lies before 2026-03-02T09:00:00+00:00, where the journal begins",
            id="too early",
        ),
        pytest.param(("--journal", "{folder}", "--at", "noon"), "--at is 'noon'", id="no time"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_why(folder, capsys, options, words):
    code, _, err = printed(capsys, *(one.format(folder=folder) for one in options))
    assert code == 2
    assert words in err


def at(text, folder):
    return datetime.fromtimestamp(moment_of(text, read_journal(folder)), UTC).isoformat()


def test_a_time_of_day_is_the_last_one_that_the_journal_holds(folder):
    assert at("09:05", folder) == "2026-03-02T09:05:00+00:00"
    assert at("23:59:30", folder) == "2026-03-01T23:59:30+00:00"
    assert at("2026-03-02T10:05:00+01:00", folder) == "2026-03-02T09:05:00+00:00"
    assert moment_of("-1m", read_journal(folder)) > START


@pytest.mark.parametrize(("text", "size"), [("64MB", 64_000_000), ("1GB", 10**9), ("5 kb", 5000)])
def test_a_size_is_a_number_with_a_unit(text, size):
    assert size_of(text, "--journal-size") == size


@pytest.mark.parametrize("text", ["64", "MB", "-1MB", "1TB"])
def test_any_other_size_is_refused(text):
    with pytest.raises(PolicyError, match="must be a size such as 64MB"):
        size_of(text, "--journal-size")

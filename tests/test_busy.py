"""The busy loops beside which the suite has to pass are there meanwhile, and gone afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.busy import busy, main


def test_so_many_loops_run_until_the_block_ends():
    with busy(2) as loops:
        assert [Path(f"/proc/{pid}").is_dir() for pid in loops] == [True, True]
    assert [Path(f"/proc/{pid}").is_dir() for pid in loops] == [False, False]


def test_the_commands_exit_code_is_ours(capfd):
    assert main(["sh", "-c", "exit 7"]) == 7
    assert "busy loops" in capfd.readouterr().out


def test_without_a_command_its_use_is_told(capsys):
    assert main([]) == 2
    assert "python -m tests.busy" in capsys.readouterr().err

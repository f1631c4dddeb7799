"""Each key of a policy changes what a user sees: a plan, a lease, a status or a replay."""

from __future__ import annotations

import pytest

from tests.scaler.policy.samples import faults
from tests.seams.policy_leaves import leaves
from tests.seams.policy_rows import ROWS, Carried, Refused, Row, both, policy
from tests.seams.scene import lived, picked, read, replayed

LEAVES = tuple(leaves())


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_key_changes_what_its_row_says(leaf, tmp_path):
    row = ROWS.get(leaf)
    assert row is not None, f"add a row for {leaf} to tests/seams/policy_rows.py"
    if isinstance(row, Refused):
        assert row.rule in " ".join(refused(leaf, row)), f"{leaf}: {row.value!r} is taken"
    elif isinstance(row, Row):
        one, other = (seen(made, row.differs, tmp_path) for made in both(leaf, row))
        assert one, f"{leaf}: there is no {row.differs}"
        assert one != other, f"{leaf}: {row.a!r} and {row.b!r} come to the same {row.differs}"


def test_no_row_is_of_a_key_that_is_gone():
    assert set(ROWS) <= set(LEAVES)


def test_a_key_that_changes_nothing_is_in_no_section_of_ours():
    carried = {leaf for leaf, row in ROWS.items() if isinstance(row, Carried)}
    others = ("metadata.", "spec.hpa.", "spec.limit.perClient.")
    assert {leaf for leaf in carried if not leaf.startswith(others)} == set()


def seen(made: dict, differs: str, folder) -> list:
    """Return what a policy comes to, where its row looks."""
    document = read(folder, made)
    channel, _, path = differs.partition(".")
    found = replayed(document) if channel == "replay" else lived(document).of(channel)
    return list(picked(found, path))


def refused(leaf: str, row: Refused) -> list[str]:
    """Return what is wrong with a policy that has the value of a row."""
    import yaml  # noqa: PLC0415 - of this test alone

    return faults(yaml.safe_dump(policy({**row.given, leaf: row.value})))

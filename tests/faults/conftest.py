"""The scene as a fixture."""

from __future__ import annotations

import pytest

from tests.faults.scene import standing


@pytest.fixture
def scene(tmp_path):
    with standing(tmp_path) as made:
        yield made

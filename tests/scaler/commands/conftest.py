"""What the tests of several commands ask: a journal."""

from pathlib import Path

import pytest

from tests.scaler.adapters.journal.recorded import RecordedScene


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a journal that nobody changes."""
    made = tmp_path_factory.mktemp("journal")
    scene = RecordedScene(5, made, calm=True)
    scene.run(60)  # 15 minutes and more
    scene.journal.close()
    return made

"""Where things lie: no test counts its way up from its own folder."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
EXAMPLES = ROOT / "examples"
# Public request-rate traces; they are not part of the project, and lie beside it where they are.
TRACES = ROOT.parent / "shared" / "traces"

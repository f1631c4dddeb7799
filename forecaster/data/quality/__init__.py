"""The data-quality pass: from raw samples to a usable history and a list of findings.

Imports forecaster.data.series. Used by adapters and commands.

Each rule repairs samples, refuses the item (with its span and the fix), or only notes a finding. A
repair sets a sample missing or moves it onto the grid; it never makes up a value. The pass is
idempotent, and the order of the rows does not matter.
"""

from forecaster.data.quality.inspection import believable, examine, inspect, masked, verdict
from forecaster.data.quality.values import (
    Action,
    Finding,
    QualityReport,
    QualityRules,
    RawSeries,
    Rule,
    Window,
)

__all__ = [
    "Action",
    "Finding",
    "QualityReport",
    "QualityRules",
    "RawSeries",
    "Rule",
    "Window",
    "believable",
    "examine",
    "inspect",
    "masked",
    "verdict",
]

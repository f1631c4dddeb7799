"""The data-quality pass: raw samples in, a usable history and a list of findings out.

Imports forecaster.data.series. Used by adapters and commands.

Each rule either repairs by a stated rule, or refuses with the item, the span and the fix, or
notes. A repair only ever turns a sample into "missing" or moves it onto the grid; it never makes
a value up. The pass is idempotent, and the order of the rows does not matter.
"""

from forecaster.data.quality.inspection import examine, inspect, masked, verdict
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
    "examine",
    "inspect",
    "masked",
    "verdict",
]

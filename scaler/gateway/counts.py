"""The requests that a gateway has counted, by priority class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class RequestCounts:
    """Numbers of requests by class; ``""`` stands for requests without a known class.

    Attributes:
        admitted: requests within the limit.
        denied: requests over the limit; in a dry run they pass nevertheless.
        rejected: requests over the limit that were in fact refused.
    """

    admitted: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    rejected: int = 0

    def add(self, other: RequestCounts) -> None:
        self.admitted += other.admitted
        self.denied += other.denied
        self.rejected += other.rejected

    def report_fields(self) -> dict[str, object]:
        """Return the counts as fields of a report."""
        names = sorted((set(self.admitted) | set(self.denied)) - {""})
        return {
            "admitted": self.admitted.total(),
            "denied": self.denied.total(),
            "classes": {
                name: {"admitted": self.admitted[name], "denied": self.denied[name]}
                for name in names
            },
        }

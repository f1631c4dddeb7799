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
        admitted_beyond, denied_beyond: those of them beyond their client's fair part.
        rejected: requests over the limit that were in fact refused.
    """

    admitted: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    admitted_beyond: Counter[str] = field(default_factory=Counter)
    denied_beyond: Counter[str] = field(default_factory=Counter)
    rejected: int = 0

    def add(self, other: RequestCounts) -> None:
        self.admitted += other.admitted
        self.denied += other.denied
        self.admitted_beyond += other.admitted_beyond
        self.denied_beyond += other.denied_beyond
        self.rejected += other.rejected

    def report_fields(self) -> dict[str, object]:
        """Return the counts as fields of a report.

        The demand of a class is what is within its clients' fair parts. What is beyond counts in
        the totals alone, as requests of no class do.
        """
        admitted = self.admitted - self.admitted_beyond
        denied = self.denied - self.denied_beyond
        names = sorted((set(self.admitted) | set(self.denied)) - {""})
        return {
            "admitted": self.admitted.total(),
            "denied": self.denied.total(),
            "classes": {
                name: {"admitted": admitted[name], "denied": denied[name]} for name in names
            },
        }
